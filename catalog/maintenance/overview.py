"""What pages and the API show of upkeep: how tables stand, what they need, what was done."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar
from uuid import UUID

from accounts.domain import Actor
from catalog import lake
from catalog.domain import Table
from catalog.maintenance import cleanup, health, planning, savings, standings
from catalog.maintenance.domain import Policy
from catalog.maintenance.policies import FIELDS, policy_of
from catalog.models import Catalog, CatalogStanding, MaintenancePolicy, MaintenanceRun
from catalog.selectors import find_catalog
from catalog.visibility import visible_tables
from governance import services as governance
from governance.domain import Action
from problems import NotFound
from workspaces.models import Workspace

RUNS_SHOWN = 20
TABLES_SHOWN = 100
KEYS_SHOWN = 50

Json = dict[str, Any]


class UnknownMaintenanceRun(NotFound):
    """There is no such run, or the actor may not know that there is."""

    code: ClassVar[str] = "unknown-maintenance-run"
    title: ClassVar[str] = "There is no such run"


def of_catalog(actor: Actor, catalog: Catalog) -> Json:
    """Return how a catalog is kept, how it stands, and what it needs now.

    Only tables that `actor` may browse are named. Raises `AccessDenied` where they may not
    maintain it.
    """
    governance.authorize(actor, Action.TABLE_MAINTAIN, catalog.securable)
    found = planning.survey(catalog)
    standing = CatalogStanding.objects.filter(catalog=catalog).first()
    orphans, orphan_bytes = standings.orphans_of(standing)
    return {
        "policy": shown(found.policy),
        "own": own(catalog, None),
        "snapshots": found.whole.snapshots,
        "oldest_snapshot_at": found.whole.oldest_at,
        "held_bytes": found.whole.held_bytes,
        "files_to_delete": found.whole.scheduled_files,
        "orphans": orphans,
        "orphan_bytes": orphan_bytes,
        "orphans_found_at": standing.orphans_found_at if standing else None,
        "steps": [step.as_dict() for step in planning.steps(catalog, found, thorough=True)],
        "tables": tables(actor, catalog, found),
    }


def of_table(actor: Actor, catalog: Catalog, table: Table) -> Json:
    """Return how a table is kept, how it stands, and what it needs now.

    Raises `AccessDenied` where `actor` may not maintain it.
    """
    securable = table.securable(catalog.securable)
    governance.authorize(actor, Action.TABLE_MAINTAIN, securable)
    policy = policy_of(catalog, table.table_uuid)
    found = health.table_health(catalog, table.table_id, policy)
    reads = savings.reads_of(catalog).get(table.label)
    query = governance.decide(actor, Action.TABLE_QUERY, securable)
    is_open = query.allowed and query.obligations.is_empty  # filters are values of rows
    return {
        "policy": shown(policy),
        "own": own(catalog, table.table_uuid),
        "health": standings.line(found, reads, _orphans(catalog), catalog) if found else {},
        "steps": [s.as_dict() for s in planning.steps_of_table(catalog, table)],
        "sort_proposals": [
            asdict(one) for one in savings.sort_proposals(catalog, table, reads) if is_open
        ],
    }


def find_orphans(actor: Actor, catalog: Catalog) -> Json:
    """Look in the bucket for what nothing names; delete nothing, and keep what was found.

    It lists the catalog's whole prefix. Raises `AccessDenied`, or `StorageUnreachable`.
    """
    governance.authorize(actor, Action.TABLE_MAINTAIN, catalog.securable)
    found = cleanup.orphans(catalog)
    row = standings.found_orphans(catalog, found)
    count, size = standings.orphans_of(row)
    return {
        "orphans": count,
        "orphan_bytes": size,
        "orphans_found_at": row.orphans_found_at,
        "keys": [one.key for one in found[:KEYS_SHOWN]],
    }


def tables(actor: Actor, catalog: Catalog, survey: planning.Survey) -> list[Json]:
    """Return how the tables stand that `actor` may browse, what costs queries most first."""
    newest = lake.latest_snapshot(catalog).snapshot_id
    visible = {table.table_id for table in visible_tables(actor, catalog, newest)}
    reads, orphans = savings.reads_of(catalog), _orphans(catalog)
    found = [
        standings.line(one, reads.get(f"{catalog.name}.{one.label}"), orphans, catalog)
        for one in survey.tables
        if one.table_id in visible
    ]
    found.sort(key=lambda one: (-one["requests_saved"], -one["small_files"], one["name"]))
    return found[:TABLES_SHOWN]


def _orphans(catalog: Catalog) -> Json:
    found = CatalogStanding.objects.filter(catalog=catalog).values_list("orphans", flat=True)
    return found.first() or {}


def shown(policy: Policy) -> Json:
    """Return what holds, as the API says it."""
    said = {name: getattr(policy, name) for name in FIELDS}
    return said | {
        "keep_days": policy.keep_days or 0,
        "quiet_hours": str(policy.quiet_hours or ""),
    }


def own(catalog: Catalog, table_uuid: UUID | None) -> Json:
    """Return what is said of the catalog or the table itself."""
    row = MaintenancePolicy.objects.filter(catalog=catalog, table_uuid=table_uuid).first()
    return {name: getattr(row, name, None) for name in FIELDS}


def history(actor: Actor, catalog: Catalog, table_uuid: UUID | None = None) -> list[MaintenanceRun]:
    """Return the last runs, the newest first; of one table, those of its whole catalog too.

    Raises `AccessDenied` where `actor` may not maintain the catalog.
    """
    if table_uuid is None:
        governance.authorize(actor, Action.TABLE_MAINTAIN, catalog.securable)
    runs = MaintenanceRun.objects.filter(catalog=catalog).select_related("catalog")
    if table_uuid is not None:
        runs = runs.filter(table_uuid=table_uuid)
    return list(runs.order_by("-created_at")[:RUNS_SHOWN])


def find_run(actor: Actor, workspace: Workspace, run_id: UUID) -> MaintenanceRun:
    """Return one run of a catalog that `actor` may browse. Raises `UnknownMaintenanceRun`."""
    rows = MaintenanceRun.objects.visible_to(actor).filter(catalog__workspace=workspace)
    run = rows.filter(id=run_id).select_related("catalog__workspace", "catalog__bucket").first()
    if run is None:
        raise UnknownMaintenanceRun(f"There is no run {run_id} in {workspace.name}.")
    find_catalog(actor, workspace, str(run.catalog_id))
    table = planning.table_of(run)
    about = table.securable(run.catalog.securable) if table else run.catalog.securable
    governance.authorize(actor, Action.TABLE_MAINTAIN, about)
    return run
