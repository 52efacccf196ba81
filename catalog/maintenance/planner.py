"""Decides which steps a lake needs: a pure function of how it stands and what its policy says.

Files are merged by tiers, as search engines merge segments: each tier is eight times the one
below, and its files are merged when eight of them have gathered. A byte is thus rewritten at most
once per tier, however small the commits that brought it; what is large is seldom touched.
Source: O'Neil et al., The Log-Structured Merge-Tree, 1996; Lucene's TieredMergePolicy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from catalog.maintenance.domain import (
    CatalogHealth,
    Policy,
    Step,
    StepKind,
    TableHealth,
    Tier,
)

FAN_IN = 8
"""So many files of a tier are merged at once, and so much larger is the next one."""

SMALLEST_FLOOR_BYTES = 16 * 2**10
"""Below this all files are of one tier: most of each is its footer."""

FLUSH_ROWS = 2_000
FLUSH_AFTER = timedelta(minutes=5)
REWRITE_RATIO = 0.3
"""A file with a greater share of deleted rows is rewritten without them."""

SMALL_WITH_DELETES = 4 * FAN_IN
"""Files with deletes are never merged: so many small ones are rewritten whatever their share."""

STEP_BYTES = 512 * 2**20
"""One commit of merging rewrites about so much at most, so that others soon have their turn."""

HEAVY_BYTES = 256 * 2**20
"""A step that rewrites more waits for the quiet hours."""


def floors(target_bytes: int) -> tuple[int, ...]:
    """Return where tiers begin, in bytes; files from the target on are in none."""
    found: list[int] = []
    while (floor := target_bytes // FAN_IN ** (len(found) + 1)) >= SMALLEST_FLOOR_BYTES:
        found.append(floor)
    return (0, *reversed(found))


def steps_of_table(
    health: TableHealth, policy: Policy, now: datetime, *, thorough: bool = False
) -> tuple[Step, ...]:
    """Return what the table needs, the cheapest first.

    `thorough`, as when a person asks, merges and flushes whatever there is, however little.
    """
    if not policy.enabled and not thorough:
        return ()
    return tuple(_steps(health, policy, now, thorough=thorough))


def steps_of_catalog(health: CatalogHealth, policy: Policy) -> tuple[Step, ...]:
    """Return what the lake as a whole needs: expiry, then deleting what nobody can need."""
    found: list[Step] = []
    if health.expirable:
        count = len(health.expirable)
        why = f"{count} snapshots are older than {policy.keep_days} days and nobody holds them."
        found.append(Step(StepKind.EXPIRE, why=why, options={"snapshots": count}))
    if health.deletable_files:
        why = f"{health.deletable_files} replaced files are needed by no reader any more."
        found.append(Step(StepKind.CLEAN_UP, why=why, files=health.deletable_files))
    return tuple(found)


def within(
    steps: Sequence[Step], policy: Policy, now: datetime, left_bytes: int
) -> tuple[Step, ...]:
    """Return the steps that the schedule may take now: light ones, or all in quiet hours.

    `left_bytes` is what is left of the day's budget.
    """
    quiet = policy.quiet_hours
    may_be_heavy = quiet is None or quiet.holds(now)
    fitting = (step for step in steps if step.size_bytes <= left_bytes)
    return tuple(step for step in fitting if may_be_heavy or not step.is_heavy)


def _steps(health: TableHealth, policy: Policy, now: datetime, *, thorough: bool) -> Iterator[Step]:
    if _is_flush_due(health, now) or (thorough and health.inlined_rows):
        why = f"{health.inlined_rows:,} rows are kept in the metadata instead of in files."
        yield _step(StepKind.FLUSH, health, why)
    for tier in health.tiers:
        if _is_merge_due(tier) or (thorough and tier.files > tier.groups):
            yield _merge(health, policy, tier)
    if rewrite := _rewrite(health):
        yield rewrite


def _is_flush_due(health: TableHealth, now: datetime) -> bool:
    is_old = health.inlined_since is not None and health.inlined_since <= now - FLUSH_AFTER
    return health.inlined_rows >= FLUSH_ROWS or (health.inlined_rows > 0 and is_old)


def _is_merge_due(tier: Tier) -> bool:
    return tier.groups > 0 and tier.files >= FAN_IN * tier.groups


def _merge(health: TableHealth, policy: Policy, tier: Tier) -> Step:
    target = policy.target_file_bytes
    at_once = max(1, STEP_BYTES // target)
    options = {
        "min_file_size": tier.floor_bytes,
        "max_file_size": tier.ceiling_bytes,
        "max_compacted_files": at_once,
    }
    if health.target_set_bytes != target:
        options["target_file_size"] = target
    size = min(tier.size_bytes, at_once * target)
    why = f"{tier.files} files of less than {_megabytes(tier.ceiling_bytes)} are read as one."
    return _step(StepKind.MERGE, health, why, tier.files, size).within(**options)


def _rewrite(health: TableHealth) -> Step | None:
    """Return the rewriting of files with many deletes, or of many small ones with any."""
    if health.worth_rewriting_bytes:
        why = f"More than {REWRITE_RATIO:.0%} of some files' rows are deleted."
        size = health.worth_rewriting_bytes
        return _step(StepKind.REWRITE, health, why, size_bytes=size).within(
            delete_threshold=REWRITE_RATIO
        )
    if health.small_with_deletes >= SMALL_WITH_DELETES:
        why = f"{health.small_with_deletes} small files with deletes cannot be merged."
        size = health.bytes_with_deletes
        return _step(StepKind.REWRITE, health, why, health.files_with_deletes, size).within(
            delete_threshold=0.0
        )
    return None


def _step(
    kind: StepKind, health: TableHealth, why: str, files: int = 0, size_bytes: int = 0
) -> Step:
    heavy = size_bytes > HEAVY_BYTES
    return Step(kind, health.schema_name, health.name, why, files, size_bytes, heavy)


def _megabytes(size: int) -> str:
    return f"{size / 10**6:,.1f} MB"
