"""How lakes stand, read from their metadata, as the planner wants it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from django.conf import settings
from django.db.models import Min
from django.utils import timezone

from catalog import lake
from catalog.domain import JobState
from catalog.lake import facts, retired, standing
from catalog.lake.standing import FileGroup, Inlined, Named
from catalog.maintenance import holds
from catalog.maintenance.domain import CatalogHealth, Policy, TableHealth, Tier
from catalog.maintenance.leases import Leases, leases_of
from catalog.maintenance.planner import REWRITE_RATIO, floors
from catalog.models import Catalog, Job

NONE = (0, 0)
AT_ONCE = 1_000
"""Snapshots that one step lets expire, and files that one step deletes."""


def table_health(catalog: Catalog, table_id: int, policy: Policy) -> TableHealth | None:
    """Return how one live table stands; None where there is none."""
    found = _healths(catalog, policy, table_id)
    return found[0] if found else None


def tables_health(catalog: Catalog, policy: Policy) -> list[TableHealth]:
    """Return how every live table stands: a fact of the newest snapshot, found once."""
    key = ("tables_health", policy.target_file_bytes)
    return facts.of(catalog, key, lambda: _healths(catalog, policy, None))


def catalog_health(catalog: Catalog, policy: Policy) -> CatalogHealth:
    """Return what of a lake no table owns."""
    count, oldest = retired.snapshot_span(catalog)
    files, size = retired.held_by_history(catalog)
    leases = leases_of(catalog)
    return CatalogHealth(
        snapshots=count,
        oldest_at=oldest,
        expirable=expirable(catalog, policy, leases),
        held_files=files,
        held_bytes=size,
        scheduled_files=retired.scheduled_count(catalog),
        deletable_files=len(deletable(catalog, leases)),
    )


def expirable(catalog: Catalog, policy: Policy, leases: Leases) -> tuple[int, ...]:
    """Return snapshots that are too old, that nobody reads, and that no tag holds."""
    if policy.keep_days is None:
        return ()
    moment = timezone.now() - timedelta(days=policy.keep_days)
    unfinished = Job.objects.filter(catalog=catalog, state__in=[JobState.QUEUED, JobState.RUNNING])
    begun = unfinished.aggregate(first=Min("created_at"))["first"]
    moment = min(moment, begun or moment)  # a commit of theirs is found by its snapshot's mark
    kept = leases.snapshots
    if policy.keep_tagged:
        kept |= holds.tagged_snapshots(catalog)
    old = retired.superseded_before(catalog, moment, AT_ONCE + len(kept))
    return tuple(number for number in old if number not in kept)[:AT_ONCE]


def deletable(catalog: Catalog, leases: Leases) -> list[retired.Retired]:
    """Return replaced files that no reader can need any more and that Upend may delete."""
    before = timezone.now() - timedelta(seconds=settings.MAINTENANCE_SAFE_SECONDS)
    return [
        one
        for one in retired.scheduled(catalog, AT_ONCE)
        if one.key is not None
        and one.replaced_at < before
        and not leases.holds(one.key, one.replaced_at)
        and holds.is_ours(catalog, one.key)
    ]


def _healths(catalog: Catalog, policy: Policy, table_id: int | None) -> list[TableHealth]:
    target = policy.target_file_bytes
    begin = floors(target)
    groups: dict[int, list[FileGroup]] = defaultdict(list)
    for group in standing.file_groups(catalog, begin, target, REWRITE_RATIO, table_id):
        groups[group.table_id].append(group)
    inlined = standing.inlined_tables(catalog, table_id)
    told = standing.target_files(catalog)
    held = retired.held_by_table(catalog)
    return [
        replace(
            _health(one, groups[one.table_id], inlined.get(one.table_id), policy, told),
            held_files=held.get(one.table_id, NONE)[0],
            held_bytes=held.get(one.table_id, NONE)[1],
        )
        for one in standing.named_tables(catalog, table_id)
    ]


def _health(
    named: Named,
    groups: list[FileGroup],
    inlined: Inlined | None,
    policy: Policy,
    told: dict[int, int],
) -> TableHealth:
    last = len(floors(policy.target_file_bytes))
    small = [g for g in groups if g.tier <= last]
    deleted = [g for g in groups if g.has_deletes]
    return TableHealth(
        table_id=named.table_id,
        table_uuid=named.table_uuid,
        schema_name=named.schema_name,
        name=named.name,
        files=sum(g.files for g in groups),
        size_bytes=sum(g.size_bytes for g in groups),
        rows=sum(g.rows for g in groups),
        small_files=sum(g.files for g in small),
        small_bytes=sum(g.size_bytes for g in small),
        files_with_deletes=sum(g.files for g in deleted),
        small_with_deletes=sum(g.files for g in deleted if g.tier <= last),
        bytes_with_deletes=sum(g.size_bytes for g in deleted),
        deleted_rows=sum(g.deleted_rows for g in groups),
        worth_rewriting_bytes=sum(g.worth_rewriting_bytes for g in groups),
        inlined_rows=inlined.rows if inlined else 0,
        inlined_since=inlined.since if inlined else None,
        tiers=tuple(_tiers(groups, policy.target_file_bytes)),
        target_set_bytes=told.get(named.table_id),
    )


def _tiers(groups: Iterable[FileGroup], target: int) -> Iterable[Tier]:
    begin = [*floors(target), target]
    by_tier: dict[int, list[FileGroup]] = defaultdict(list)
    for group in groups:
        if group.tier < len(begin) and not group.has_deletes and group.files > 1:
            by_tier[group.tier].append(group)
    for tier, found in sorted(by_tier.items()):
        yield Tier(
            floor_bytes=begin[tier - 1],
            ceiling_bytes=begin[tier],
            files=sum(g.files for g in found),
            size_bytes=sum(g.size_bytes for g in found),
            groups=len(found),
        )


def newest_file_id(catalog: Catalog) -> int:
    """Return the id that the next file of the lake will have."""
    return lake.latest_snapshot(catalog).next_file_id
