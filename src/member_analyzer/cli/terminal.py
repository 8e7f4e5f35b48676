"""Sanitizes untrusted text for the terminal."""

from rich.markup import escape

from member_analyzer.records.text import printable


def sanitize(text: str) -> str:
    """The text as rich markup that prints it literally, with control characters escaped."""
    return escape(printable(text))


def sanitize_line(line: str) -> str:
    """A log line with control characters escaped and tabs expanded."""
    return printable(line.rstrip("\r\n").expandtabs())
