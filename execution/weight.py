"""What a query asks of a worker, as admission counts it: how urgent, how heavy, how much memory.

Pure rules; docs/explanation/queueing.md says them in prose.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from accounts.domain import PrincipalKind
from execution.domain import Estimate
from problems import Invalid

SLOT_BYTES = 256 * 2**20
"""Each slot of a worker has this much memory of its own; more comes from what the heavy share."""
SMALL_SCAN_BYTES = 100 * 10**6
"""The median analytical query scans about this much: what scans more is heavy."""


class Priority(StrEnum):
    """How urgent a query is, the most urgent first."""

    INTERACTIVE = "interactive"
    SCHEDULED = "scheduled"
    AGENT = "agent"

    @property
    def rank(self) -> int:
        """Return its place in the order: 0 goes first."""
        return list(Priority).index(self)

    @classmethod
    def of_rank(cls, rank: int) -> Priority:
        """Return the priority that a row's number stands for."""
        return list(cls)[rank]


@dataclass(frozen=True, slots=True)
class Weight:
    """`slot_bytes` is the memory wanted beyond a slot's own `SLOT_BYTES`, in whole slots."""

    is_heavy: bool
    slot_bytes: int


def weigh(estimate: Estimate, *, most_bytes: int) -> Weight:
    """Return what a query of this estimate takes of a worker.

    Its memory is the estimate rounded up to whole slots, between one slot and `most_bytes`, the
    workspace's limit for one query. It is small when one slot is enough and it scans little.
    """
    slots = -(-min(estimate.memory_bytes, most_bytes) // SLOT_BYTES)
    extra = max(0, slots - 1) * SLOT_BYTES
    return Weight(
        is_heavy=extra > 0 or estimate.scan_bytes > SMALL_SCAN_BYTES,
        slot_bytes=extra,
    )


def priority_of(kind: PrincipalKind, wanted: Priority | None) -> Priority:
    """Return the priority of a request: people are interactive, programs agents, unless scheduled.

    Raises `Invalid` where a program asks to go with the people.
    """
    if kind is PrincipalKind.USER:
        if wanted is Priority.AGENT:
            raise Invalid("A person's query is `interactive` or `scheduled`.")
        return wanted or Priority.INTERACTIVE
    if wanted is Priority.INTERACTIVE:
        raise Invalid(
            "A service account's query cannot be `interactive`: people wait for those.",
            hint="Leave `priority` out, or ask for `scheduled`.",
        )
    return wanted or Priority.AGENT
