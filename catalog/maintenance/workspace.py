"""Shows how all lakes of a workspace stand at once: which tables need work first, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django.utils import timezone

from accounts.domain import Actor
from catalog.maintenance import planner, standings
from catalog.maintenance.domain import Policy, Step
from catalog.maintenance.policies import inherited
from catalog.models import Catalog, CatalogStanding, MaintenancePolicy, MaintenanceRun
from catalog.selectors import visible_catalogs
from governance.domain import Action, Request, Securable, SecurableKind
from governance.selectors import decide_many
from problems import Invalid
from workspaces.models import Workspace

TABLES_SHOWN = 100
TOTALS = (
    "tables",
    "tables_in_need",
    "files",
    "size_bytes",
    "small_files",
    "inlined_rows",
    "snapshots",
    "held_files",
    "held_bytes",
    "files_to_delete",
    "requests_saved",
    "bytes_saved",
)

Json = dict[str, Any]
Order = Callable[[Json], Any]
ORDERS: dict[str, Order] = {
    "need": lambda one: tuple(-part for part in standings.need(one)),
    "table": lambda one: (one["catalog"], one["schema_name"], one["name"]),
    "small_files": lambda one: -one["small_files"],
    "deletes": lambda one: -one["delete_ratio"],
    "inlined_rows": lambda one: -one["inlined_rows"],
    "held_bytes": lambda one: -one["held_bytes"],
    "orphan_bytes": lambda one: -one["orphan_bytes"],
    "size_bytes": lambda one: -one["size_bytes"],
}
"""How tables can be listed; each begins with what most wants a look."""


class UnknownOrder(Invalid):
    """Tables are not listed by this."""

    code: ClassVar[str] = "unknown-order"
    title: ClassVar[str] = "Tables are not listed by this"


@dataclass(frozen=True, slots=True)
class Waits:
    """What the schedule does next for a catalog, and until when that waits."""

    text: str
    step: Json | None = None


def health(actor: Actor, workspace: Workspace, *, sort: str = "need") -> Json:
    """Return the catalogs that `actor` may maintain, and their tables: what needs work first.

    It is how they stood when last measured, minutes ago; the number of statements does not grow
    with them. Only tables that the actor may browse are named. Raises `UnknownOrder`.
    """
    if sort not in ORDERS:
        raise UnknownOrder(
            f"Tables are not listed by {sort[:40]!r}.", hint=f"Choose from {', '.join(ORDERS)}."
        )
    catalogs = _maintained(actor, workspace)
    rows = {row.catalog_id: row for row in CatalogStanding.objects.filter(catalog__in=catalogs)}
    active = {r.catalog_id: r for r in MaintenanceRun.objects.active().filter(catalog__in=catalogs)}
    policies = _policies(catalogs)
    lines = [_line(one, rows.get(one.id), policies[one.id], active.get(one.id)) for one in catalogs]
    tables = _visible(actor, [(one, rows[one.id]) for one in catalogs if one.id in rows])
    tables.sort(key=lambda one: (ORDERS[sort](one), ORDERS["table"](one)))
    return {
        "sort": sort,
        "catalogs": lines,
        "totals": {name: sum(one[name] for one in lines) for name in (*TOTALS, *ORPHANED)},
        "tables": tables[:TABLES_SHOWN],
    }


ORPHANED = ("orphans", "orphan_bytes")


def _maintained(actor: Actor, workspace: Workspace) -> list[Catalog]:
    found = visible_catalogs(actor, workspace, with_archived=False)
    asked = [Request(Action.TABLE_MAINTAIN, one.securable) for one in found]
    decided = decide_many(actor, asked)
    return [one for one, decision in zip(found, decided, strict=True) if decision.allowed]


def _policies(catalogs: Iterable[Catalog]) -> dict[Any, Policy]:
    own = MaintenancePolicy.objects.filter(catalog__in=catalogs, table_uuid=None)
    said = {row.catalog_id: row for row in own}
    return {one.id: inherited([said[one.id]] if one.id in said else []) for one in catalogs}


def _line(
    catalog: Catalog, row: CatalogStanding | None, policy: Policy, run: MaintenanceRun | None
) -> Json:
    totals = row.totals if row else {}
    count, size = standings.orphans_of(row)
    waits = _next(catalog, row, policy, run)
    return {
        "name": catalog.name,
        "measured_at": row.measured_at if row else None,
        **{name: totals.get(name, 0) for name in TOTALS},
        "orphans": count,
        "orphan_bytes": size,
        "orphans_found_at": row.orphans_found_at if row else None,
        "next": waits.text,
        "next_step": waits.step,
        "run": run.id if run else None,
    }


def _next(
    catalog: Catalog, row: CatalogStanding | None, policy: Policy, run: MaintenanceRun | None
) -> Waits:
    """Say what the schedule does next: the first step that may be taken, or what it waits for."""
    if run is not None:
        return Waits("under way", run.step)
    if catalog.is_read_only or catalog.bucket.is_read_only:
        return Waits("read only")
    if not policy.enabled:
        return Waits("people start it")
    if row is None or row.measured_at is None:
        return Waits("not measured yet")
    if not row.steps:
        return Waits("people start it" if row.totals["tables_in_need"] else "nothing to do")
    return _first(row, policy, timezone.now())


def _first(row: CatalogStanding, policy: Policy, now: datetime) -> Waits:
    left = int(row.totals.get("budget_left_bytes", policy.daily_budget_bytes))
    steps = [Step.of(one) for one in row.steps]
    if due := planner.within(steps, policy, now, left):
        return Waits("in a moment", due[0].as_dict())
    if planner.within(steps, policy, now, 2**62):
        return Waits("when the day's budget allows", row.steps[0])
    return Waits(f"in its quiet hours, {policy.quiet_hours} UTC", row.steps[0])


def _visible(actor: Actor, rows: Iterable[tuple[Catalog, CatalogStanding]]) -> list[Json]:
    named = [
        (one, _securable(catalog, one), catalog) for catalog, row in rows for one in row.tables
    ]
    asked = [Request(Action.CATALOG_BROWSE, about) for _, about, _ in named]
    decided = decide_many(actor, asked)
    return [
        {"needs": []} | one | {"catalog": catalog.name}
        for (one, _, catalog), decision in zip(named, decided, strict=True)
        if decision.allowed
    ]


def _securable(catalog: Catalog, one: Json) -> Securable:
    parent = catalog.securable
    label = f"{catalog.name}.{one['schema_name']}.{one['name']}"
    place = (parent.organization_id, parent.workspace_id)
    return Securable(SecurableKind.TABLE, one["key"], label, *place, parent)
