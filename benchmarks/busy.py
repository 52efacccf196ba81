"""Tells who kept the processors busy: of little use is a slow answer from a busy machine."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.resident import children_of_all, family

TICKS = os.sysconf("SC_CLK_TCK")


class Busy:
    """Processor time since a moment: the machine's, this process's, and that of named ones.

    A name counts with all that its process started, as far as that was waited for (Linux).
    """

    def __init__(self, processes: Mapping[str, int]) -> None:
        self.processes = processes
        self.at = time.monotonic()
        self.before = self._now()

    def since(self, *, queries: int) -> dict[str, Any]:
        """Return processors at work on average, and milliseconds by query and process."""
        seconds = time.monotonic() - self.at
        spent = {name: value - self.before[name] for name, value in self._now().items()}
        machine = spent.pop("machine")
        return {
            "busy": round(machine / seconds, 2),
            "busy_with_others": round((machine - sum(spent.values())) / seconds, 2),
            "ms_by_query": {
                name: round(value * 1000 / max(1, queries), 1) for name, value in spent.items()
            },
        }

    def _now(self) -> dict[str, float]:
        children = children_of_all()
        named = {
            name: sum(map(_seconds_of, family(pid, children)))
            for name, pid in self.processes.items()
        }
        return {"machine": _machine_seconds(), "client": time.process_time()} | named


def _machine_seconds() -> float:
    fields = [int(text) for text in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS  # all but idle and waiting for a disk


def _seconds_of(pid: int) -> float:
    """Return the processor time of a process and of its children that ended; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS
