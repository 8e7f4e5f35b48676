"""The notes of the release: the pages of the platform, and the commands that open them."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from namespace import Namespace
from patience import answers, holds
from rendering import PLATFORM

SECONDS = 300
# The first page of a server that has just started takes long.
ANSWER_SECONDS = 20


@dataclass(frozen=True)
class Page:
    """The address of a page, and the port-forward that it needs."""

    address: str
    forward: str


def read_notes(namespace: Namespace) -> str:
    """The notes of the release."""
    return namespace.helm("get", "notes", PLATFORM)


def read_pages(notes: str) -> list[Page]:
    """All pages in the notes."""
    pages, address = [], ""
    for line in notes.splitlines():
        if line.startswith("  kubectl port-forward "):
            pages.append(Page(address, line.strip()))
        elif found := re.search(r"http://127\.0\.0\.1:\d+\S*(?<![.:;])", line):
            address = found[0]
    return pages


def read_line(notes: str, start: str) -> str:
    """The line of the notes with this prefix."""
    [line] = [line.strip() for line in notes.splitlines() if line.strip().startswith(start)]
    return line


@contextmanager
def opened(namespace: Namespace, page: Page) -> Iterator[str]:
    """Forwards the port of a page. Yields its address."""
    process = subprocess.Popen(
        [namespace.kubectl_program, *shlex.split(page.forward)[1:]],
        env=namespace.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        answered = holds(lambda: process.poll() is not None or answers(page.address, ANSWER_SECONDS), SECONDS)
        if process.poll() is not None:
            raise AssertionError(f"{page.forward}: {process.stderr.read() if process.stderr else ''}")
        assert answered, f"{page.address} does not respond through `{page.forward}`"
        yield page.address
    finally:
        process.terminate()
        process.wait(30)
