"""One line on stderr that says what a query is doing; silent where nobody watches."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from upend.cli.screen import ERR, size
from upend.query import Progress as Step

WORDS = {
    "handed-over": "it outgrew this machine's memory; the server takes over",
    "queued": "waiting for a worker",
    "running": "running",
    "succeeded": "fetching rows",
    "verifying": "verifying the manifest",
}


class ProgressLine:
    """Shows the steps of one query."""

    def __init__(self, *, quiet: bool) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=ERR,
            transient=True,
            disable=quiet or not ERR.is_terminal,
        )
        self._task = self._bar.add_task("planning", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def show(self, step: Step) -> None:
        """Show one step."""
        words = [f"[bold]{step.place}[/bold]", WORDS.get(step.state, step.state)]
        if step.bytes_read:
            words.append(size(step.bytes_read))
        total = 100.0 if step.percent else None
        self._bar.update(
            self._task, description=" · ".join(words), total=total, completed=step.percent or 0
        )
