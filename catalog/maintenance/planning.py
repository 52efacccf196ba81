"""Puts the planner's answers together: what a catalog needs, and what a run does next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Sum
from django.utils import timezone

from catalog import lake
from catalog.domain import Table
from catalog.maintenance import health, planner
from catalog.maintenance.domain import (
    CatalogHealth,
    Policy,
    RunState,
    Step,
    StepKind,
    TableHealth,
    Trigger,
)
from catalog.maintenance.policies import policies_of, policy_of
from catalog.models import Catalog, MaintenanceRun

ORDER = tuple(StepKind(kind) for kind in ("flush", "merge", "rewrite", "sort"))
ORPHANS_EVERY = timedelta(days=1)
FRUITLESS = 2
"""A step that changed nothing so often is not tried again in the same run."""


@dataclass(frozen=True, slots=True)
class Survey:
    """How a lake stands and what holds for it: read once for all that is said of it.

    Each table's health goes by its own policy, which `of_tables` has where it differs.
    """

    policy: Policy
    of_tables: dict[UUID, Policy]
    tables: tuple[TableHealth, ...]
    whole: CatalogHealth

    def policy_of(self, one: TableHealth) -> Policy:
        """Return what holds for one of the tables."""
        return self.of_tables.get(one.table_uuid, self.policy)


def survey(catalog: Catalog) -> Survey:
    """Find out how a lake stands now."""
    policy, of_tables = policies_of(catalog)
    tables = tuple(_healths(catalog, policy, of_tables))
    return Survey(policy, of_tables, tables, health.catalog_health(catalog, policy))


def steps(
    catalog: Catalog, found: Survey | None = None, *, thorough: bool = False
) -> tuple[Step, ...]:
    """Return what a catalog needs now, in order: its tables first, of those the light steps."""
    found = found or survey(catalog)
    now = timezone.now()
    wanted = _in_order(
        step
        for one in found.tables
        for step in planner.steps_of_table(one, found.policy_of(one), now, thorough=thorough)
    )
    if found.policy.enabled or thorough:
        wanted += planner.steps_of_catalog(found.whole, found.policy)
        if thorough or _are_orphans_due(catalog, now):
            why = "Objects that a crash left in the bucket are looked for."
            wanted += (Step(StepKind.ORPHANS, why=why),)
    return wanted


def steps_of_table(catalog: Catalog, table: Table) -> tuple[Step, ...]:
    """Return what one table needs now, however little, in order: light steps first."""
    policy = policy_of(catalog, table.table_uuid)
    one = health.table_health(catalog, table.table_id, policy)
    if one is None:
        return ()
    return _in_order(planner.steps_of_table(one, policy, timezone.now(), thorough=True))


def needs(found: Survey) -> dict[UUID, list[StepKind]]:
    """Return which steps the tables are due for, whoever is to begin them."""
    now = timezone.now()
    due_of: dict[UUID, list[StepKind]] = {}
    for one in found.tables:
        own = replace(found.policy_of(one), enabled=True)
        if wanted := planner.steps_of_table(one, own, now):
            due_of[one.table_uuid] = [step.kind for step in wanted]
    return due_of


def due(catalog: Catalog) -> tuple[Step, ...]:
    """Return what the schedule may do of it now, by quiet hours and what is left of the budget."""
    policy, _ = policies_of(catalog)
    if not policy.enabled:
        return ()
    left = policy.daily_budget_bytes - written_today(catalog)
    return planner.within(steps(catalog), policy, timezone.now(), left)


def next_step(run: MaintenanceRun) -> Step | None:
    """Return what a run does next; None where it is over."""
    table = table_of(run)
    if run.table_uuid is not None and table is None:
        return None  # dropped meanwhile
    if run.sort_keys and table is not None:
        done = any(step["kind"] == StepKind.SORT for step in run.done)
        return None if done else _sort(table, run.sort_keys)
    if run.trigger == Trigger.SCHEDULE:
        wanted = due(run.catalog)
    elif table is not None:
        wanted = steps_of_table(run.catalog, table)
    else:
        wanted = steps(run.catalog, thorough=True)
    chosen = (step for step in wanted if not run.kinds or step.kind in run.kinds)
    return next((step for step in chosen if not _is_fruitless(step, run)), None)


def table_of(run: MaintenanceRun) -> Table | None:
    """Return the table that a run is about; None for a whole catalog, or where it was dropped."""
    if run.table_uuid is None:
        return None
    newest = lake.latest_snapshot(run.catalog).snapshot_id
    return lake.table_by_uuid(run.catalog, newest, run.table_uuid)


def written_today(catalog: Catalog) -> int:
    """Return the bytes that scheduled runs rewrote in the last 24 hours."""
    since = timezone.now() - timedelta(days=1)
    runs = MaintenanceRun.objects.filter(
        catalog=catalog, trigger=Trigger.SCHEDULE, created_at__gte=since
    )
    return runs.aggregate(written=Sum("bytes_written"))["written"] or 0


def _in_order(found: Iterable[Step]) -> tuple[Step, ...]:
    return tuple(
        sorted(found, key=lambda one: (one.is_heavy, ORDER.index(one.kind), one.size_bytes))
    )


def _healths(catalog: Catalog, policy: Policy, of_tables: dict[UUID, Policy]) -> list[TableHealth]:
    whole = []
    for one in health.tables_health(catalog, policy):
        own = of_tables.get(one.table_uuid, policy)
        differs = own.target_file_bytes != policy.target_file_bytes
        own_health = health.table_health(catalog, one.table_id, own) if differs else one
        whole += [own_health] if own_health else []
    return whole


def _are_orphans_due(catalog: Catalog, now: datetime) -> bool:
    since = now - ORPHANS_EVERY
    runs = MaintenanceRun.objects.filter(catalog=catalog, created_at__gte=since)
    looked = runs.exclude(state=RunState.FAILED).values_list("done", flat=True)
    is_young = catalog.created_at > now - timedelta(seconds=settings.MAINTENANCE_ORPHAN_SECONDS)
    return not is_young and not any(
        step["kind"] == StepKind.ORPHANS for done in looked for step in done
    )


def _sort(table: Table, keys: list[str]) -> Step:
    why = f"Queries that filter on {', '.join(keys)} then read fewer files."
    return Step(
        StepKind.SORT,
        table.schema_name,
        table.name,
        why,
        table.file_count,
        table.file_size_bytes,
        is_heavy=True,
        options={"keys": list(keys)},
    )


def _is_fruitless(step: Step, run: MaintenanceRun) -> bool:
    """Tell whether the run tried the same and nothing came of it."""
    tried = [
        done
        for done in run.done
        if (done["kind"], done["schema"], done["table"])
        == (step.kind, step.schema_name, step.table)
        and done["options"].get("max_file_size") == step.options.get("max_file_size")
    ]
    if step.kind in {StepKind.ORPHANS, StepKind.CLEAN_UP}:
        return bool(tried)
    empty = [
        done
        for done in tried
        if not done["result"].get("files_written") and not done["result"].get("snapshots_expired")
    ]
    return len(empty) >= FRUITLESS
