"""One line on stderr that says what a query is doing; silent where nobody watches."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from upend.cli.screen import ERR, size
from upend.follow import Progress as Step

WORDS = {
    "handed-over": "it outgrew this machine's memory; the server takes over",
    "preparing": "the server prepares an extract",
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
        words = [f"[bold]{step.place}[/bold]", WORDS.get(step.state, step.state), *_turn(step)]
        if step.rows:
            words.append(f"{step.rows:,} rows")
        if step.bytes_read:
            words.append(f"{size(step.bytes_read)} read")
        elif step.bytes:
            words.append(f"{size(step.bytes)} of result")
        if step.percent:
            words.append(f"{step.percent:.0f}%")
        total = 100.0 if step.percent else None
        self._bar.update(
            self._task, description=" · ".join(words), total=total, completed=step.percent or 0
        )


def _turn(step: Step) -> list[str]:
    """Return the place in the queue in words: "3rd in line", "about 4 s"."""
    if step.position is None:
        return []
    ends = {1: "st", 2: "nd", 3: "rd"}
    is_teen = step.position % 100 in {11, 12, 13}
    words = [f"{step.position}{'th' if is_teen else ends.get(step.position % 10, 'th')} in line"]
    if step.expected_wait_seconds is not None:
        words.append(f"about {max(1, round(step.expected_wait_seconds))} s")
    return words
