from rich.console import Console

from member_analyzer.cli.terminal import shown, shown_line


def test_what_is_shown_of_a_record_neither_controls_the_terminal_nor_is_markup() -> None:
    console = Console(width=100, record=True)
    console.print(shown("\x1b]0;owned\x07[red]Oslo[/] \x9b2J\u202e"), highlight=False)
    assert console.export_text() == "\\x1b]0;owned\\x07[red]Oslo[/] \\x9b2J\\u202e\n"


def test_a_line_of_a_log_keeps_its_indentation_and_controls_nothing() -> None:
    assert shown_line("\tat java\x1b[2J\r\n") == "        at java\\x1b[2J"
