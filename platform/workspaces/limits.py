"""The limits of a workspace that its owners may set: what each means, and what is acceptable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from problems import Invalid

MB, GB, TB = 10**6, 10**9, 10**12


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit, a column of `Workspace`; `least` and `most` bound what it may be set to."""

    name: str
    label: str
    help: str
    least: int
    most: int


LIMITS: tuple[Limit, ...] = (
    Limit(
        "max_running_queries",
        "Running queries",
        "How many run on the server at a time.",
        1,
        1_000,
    ),
    Limit(
        "max_running_per_principal",
        "Running queries of one principal",
        "A person or a service account has no more running at a time.",
        1,
        1_000,
    ),
    Limit(
        "max_queued_queries",
        "Waiting queries",
        "One more is refused with the time to try again.",
        1,
        100_000,
    ),
    Limit(
        "max_queued_per_principal",
        "Waiting queries of one principal",
        "One more of theirs is refused with the time to try again.",
        1,
        100_000,
    ),
    Limit(
        "query_memory_bytes",
        "Memory of one query, bytes",
        "The most that one query is given; what outgrows it fails.",
        64 * 2**20,
        TB,
    ),
    Limit(
        "query_timeout_seconds",
        "Time of one query, seconds",
        "What runs longer is stopped.",
        1,
        24 * 3600,
    ),
    Limit(
        "max_scan_bytes",
        "Bytes to scan",
        "A query that would scan more is refused before it runs.",
        MB,
        1_000 * TB,
    ),
    Limit("max_result_rows", "Rows of a result", "More are cut off, visibly.", 1, 10**12),
    Limit("max_result_bytes", "Bytes of a result", "More are cut off, visibly.", MB, 10 * TB),
    Limit(
        "max_stored_bytes",
        "Bytes of all results kept",
        "Above it those longest unused end early.",
        MB,
        1_000 * TB,
    ),
    Limit(
        "max_extract_bytes",
        "Bytes of a governed extract",
        "A larger one is not made: such queries run on the server.",
        0,
        1_000 * TB,
    ),
    Limit(
        "max_stored_extract_bytes",
        "Bytes of all governed extracts",
        "Above it those longest unused end early.",
        0,
        1_000 * TB,
    ),
    Limit(
        "local_max_bytes",
        "Bytes to fetch to a person's machine",
        "Auto never sends more there.",
        0,
        1_000 * TB,
    ),
    Limit(
        "drop_grace_days",
        "Days to restore a dropped catalog",
        "Afterwards its metadata and files are removed for good; 0 removes them within minutes.",
        0,
        365,
    ),
)
"""In the order in which people read them."""


def check(wanted: Mapping[str, int]) -> None:
    """Raise `Invalid` where a name is no limit or a number is out of its bounds."""
    known = {limit.name: limit for limit in LIMITS}
    for name, value in wanted.items():
        limit = known.get(name)
        if limit is None:
            raise Invalid(f"There is no limit {name!r}.", hint=f"There are {', '.join(known)}.")
        if not limit.least <= value <= limit.most:
            raise Invalid(
                f"{name} cannot be {value:,}.",
                hint=f"Choose a number from {limit.least:,} to {limit.most:,}.",
                field=name,
            )
