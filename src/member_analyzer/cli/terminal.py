"""What commands print of records and errors: nothing of it controls the terminal."""

from rich.markup import escape

from member_analyzer.records.text import printable


def shown(text: str) -> str:
    """The text as rich's markup, in which it is printed as it is, with what could control a terminal written out."""
    return escape(printable(text))


def shown_line(line: str) -> str:
    """A line of a log; its tabs are spaces."""
    return printable(line.rstrip("\r\n").expandtabs())
