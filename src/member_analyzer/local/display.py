"""Progress output for concurrent steps: a line per finished step and, on a terminal, the steps in progress."""

import time
from contextlib import AbstractContextManager
from types import TracebackType

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Display(AbstractContextManager["Display"]):
    """Shows the steps in progress and the duration of those that are done; thread-safe."""

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
        self.overall = self.progress.add_task("", total=steps)
        self.start = time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def __enter__(self) -> "Display":
        self.progress.start()
        return self

    def begin(self, name: str) -> None:
        self.began[name] = time.monotonic()
        self.refresh()

    def finish(self, name: str) -> None:
        now = time.monotonic()
        took = now - self.began.pop(name)
        self.progress.advance(self.overall)
        self.console.print(f"  {name:<22} {self.verb} in {took:4.1f} s", highlight=False)
        self.refresh()

    def refresh(self) -> None:
        """Update the list of steps in progress."""
        self.progress.update(self.overall, description=", ".join(sorted(self.began)))
