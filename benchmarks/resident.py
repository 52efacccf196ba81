"""Watches how much memory processes hold while a benchmark runs: they and all that they started."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

PAUSE_SECONDS = 0.5
SHOWN = 24
MIB = 2**20


@dataclass
class Watch:
    """Resident memory by name over time, from `with` to the end of the block.

    `processes` returns the pids by name; a name counts with all its descendants. Pages that
    processes share are counted once for each.
    """

    processes: Callable[[], Mapping[str, int]]
    seen: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def summary(self) -> dict[str, Any]:
        """Return MiB at the start, at most, at the end and on the way, by name."""
        return {
            name: {
                "first_mib": values[0] // MIB,
                "peak_mib": max(values) // MIB,
                "last_mib": values[-1] // MIB,
                "on_the_way_mib": " ".join(
                    str(value // MIB) for value in values[:: len(values) // SHOWN + 1]
                ),
            }
            for name, values in sorted(self.seen.items())
        }

    def _sample(self) -> None:
        while True:
            children = children_of_all()
            for name, pid in self.processes().items():
                self.seen[name].append(sum(map(resident, family(pid, children))))
            if self._over.wait(PAUSE_SECONDS):
                return


def resident(pid: int) -> int:
    """Return the resident bytes of one process, 0 where it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = (line.split()[1] for line in text.splitlines() if line.startswith("VmRSS:"))
    return int(next(found, "0")) * 1024


def family(pid: int, children: Mapping[int, list[int]]) -> list[int]:
    """Return a process and all that it started."""
    return [
        pid,
        *(member for child in children.get(pid, []) for member in family(child, children)),
    ]


def children_of_all() -> dict[int, list[int]]:
    """Return the processes that each process started."""
    found: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            found[int(fields[1])].append(int(entry.name))
    return found
