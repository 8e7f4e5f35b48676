from rich.console import Console

from member_analyzer.cli.terminal import sanitize, sanitize_line


def test_sanitized_text_has_no_control_characters_and_no_markup() -> None:
    console = Console(width=100, record=True)
    console.print(sanitize("\x1b]0;owned\x07[red]Oslo[/] \x9b2J\u202e"), highlight=False)
    assert console.export_text() == "\\x1b]0;owned\\x07[red]Oslo[/] \\x9b2J\\u202e\n"


def test_a_sanitized_log_line_keeps_its_indentation() -> None:
    assert sanitize_line("\tat java\x1b[2J\r\n") == "        at java\\x1b[2J"
