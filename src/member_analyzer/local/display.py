"""What a person sees while many steps run at once: lines that stay, and on a terminal what is still under way."""

import time
from contextlib import AbstractContextManager
from types import TracebackType

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Display(AbstractContextManager["Display"]):
    """The steps under way and how long each took; may be told of them from any thread."""

    def __init__(self, console: Console, steps: int, verb: str = "ready") -> None:
        self.console = console
        self.verb = verb
        self.began: dict[str, float] = {}
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.whole = self.progress.add_task("", total=steps)
        self.start = time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the lines and take away the rest."""
        self.progress.stop()

    def __enter__(self) -> "Display":
        """Begin to show."""
        self.progress.start()
        return self

    def begin(self, name: str) -> None:
        """A step is under way."""
        self.began[name] = time.monotonic()
        self.refresh()

    def finish(self, name: str) -> None:
        """A step is done."""
        now = time.monotonic()
        took = now - self.began.pop(name)
        self.progress.advance(self.whole)
        self.console.print(f"  {name:<22} {self.verb} in {took:4.1f} s", highlight=False)
        self.refresh()

    def refresh(self) -> None:
        """Name what is under way."""
        self.progress.update(self.whole, description=", ".join(sorted(self.began)))
