"""What one worker machine can carry at a time: its slots, and the memory that they share."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from execution.weight import SLOT_BYTES

SHARE_OF_MEMORY = 0.6
"""Of the machine's memory; the rest is for PostgreSQL, the web process and the file cache."""
CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True, slots=True)
class Machine:
    """One worker machine. `slots` run at a time; `memory_bytes` is the sum of what they may hold.

    Rows count for the machine in whose `worker` its name stands before the slash, so that two
    worker processes of one machine share its slots and its memory.
    """

    name: str
    slots: int
    memory_bytes: int

    @property
    def worker(self) -> str:
        """Return how a row names who runs it."""
        return f"{self.name}/{os.getpid()}"

    @property
    def heavy_slots(self) -> int:
        """Return how many heavy queries may run at a time: a third of the slots.

        Each can use every processor by itself: more of them would only slow each other, and the
        small queries that hold the other slots.
        """
        return -(-self.slots // 3)

    @property
    def open_heavy_slots(self) -> int:
        """Return how many of those one principal's may take: all but the last, where it has two."""
        return max(1, self.heavy_slots - 1)

    @property
    def open_slots(self) -> int:
        """Return how many slots one principal's small queries may take: all but the last."""
        return max(1, self.slots - 1)

    @property
    def shared_bytes(self) -> int:
        """Return the memory beyond the slots' own that heavy queries share."""
        free = self.memory_bytes - self.slots * SLOT_BYTES
        return max(0, free) // SLOT_BYTES * SLOT_BYTES


def this_machine(*, slots: int, memory_bytes: int = 0) -> Machine:
    """Return this machine with `slots` slots; without `memory_bytes` it takes a share of all."""
    name = socket.gethostname().replace("/", "-")
    return Machine(name, max(1, slots), memory_bytes or int(total_memory() * SHARE_OF_MEMORY))


def total_memory() -> int:
    """Return the memory that this process may use, of the machine or of its container."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *filter(None, map(_limit, CGROUP_LIMITS))])


def _limit(path: str) -> int | None:
    try:
        text = Path(path).read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
