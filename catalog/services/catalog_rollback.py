"""Takes a whole catalog back to a snapshot: previewed, then carried out by its writer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from accounts.domain import Actor
from audit import services as audit
from audit.domain import Event
from catalog import lake
from catalog.domain import JobKind, Table
from catalog.lake.dropped import Dropped, dropped_tables, touched_since
from catalog.lake.types import quoted
from catalog.models import Catalog, Job
from catalog.selectors import as_shown_to
from catalog.services.jobs import enqueue_job
from catalog.services.snapshots import refuse_unprotected, steps_of
from catalog.services.tables import digest_of, repeated
from catalog.tables.definitions import layout_of
from catalog.tables.layout import InvalidChange, Layout
from catalog.tables.reversal import Reversal, reversal
from governance import securables
from governance import services as governance
from governance.domain import Action, Request
from problems import Conflict

MOST_TABLES = 200


class CatalogNotReversible(Conflict):
    """Something of the catalog cannot go back to that snapshot; nothing was changed."""

    code = "catalog-not-reversible"
    title = "The catalog cannot go back to that snapshot"


@dataclass(frozen=True, slots=True)
class TableBack:
    """How one table goes back: as it was at the snapshot, and the steps to it from its last."""

    then: Table
    last: Table
    layout: Layout
    plan: Reversal
    sentences: tuple[str, ...]
    statements: tuple[str, ...]
    dropped: Dropped | None = None

    @property
    def expects(self) -> dict[str, Any]:
        """Return what the writer must find the table to be."""
        return _expected(self.last, self.layout)


@dataclass(frozen=True, slots=True)
class CatalogRollback:
    """What taking a catalog back would do."""

    snapshot_id: int
    tables: tuple[TableBack, ...]
    newer: tuple[tuple[Table, Layout], ...]
    views: bool

    def as_dict(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        steps = [
            {
                "does": f"Drops the table {table.schema_name}.{table.name}, which is newer.",
                "sql": _drop(table),
            }
            for table, _ in self.newer
        ]
        steps += [
            {
                "does": f"Brings {one.last.schema_name}.{one.last.name} back, which was dropped.",
                "sql": "",
            }
            for one in self.tables
            if one.dropped
        ]
        if self.views:
            steps.append({"does": "Makes the views those of the snapshot.", "sql": ""})
        for one in self.tables:
            steps += [
                {"does": f"{one.last.name}: {does}", "sql": sql}
                for does, sql in zip(one.sentences, one.statements, strict=True)
            ]
        if self.tables:
            steps.append({"does": "Makes the rows of all tables those of the snapshot.", "sql": ""})
        return {
            "snapshot_id": self.snapshot_id,
            "steps": steps,
            "tables": [
                {
                    "sql_name": one.last.label,
                    "rows_now": 0 if one.dropped else one.last.record_count,
                    "rows_then": one.then.record_count,
                }
                for one in self.tables
            ],
            "notes": [note for one in self.tables for note in one.plan.notes],
        }


def preview_catalog_rollback(
    *, actor: Actor, catalog: Catalog, snapshot_id: int
) -> CatalogRollback:
    """Return what taking every table and view back to a snapshot would do; nothing is written.

    Raises `AccessDenied`, `UnknownSnapshot`, `CatalogNotReversible`, `InvalidChange` or
    `TagsWouldBeLost`.
    """
    governance.authorize(actor, Action.TABLE_ALTER, catalog.securable)
    lake.snapshot(catalog, snapshot_id)
    newest = lake.latest_snapshot(catalog).snapshot_id
    then = {table.table_uuid: table for table in lake.tables(catalog, snapshot_id)}
    now = {table.table_uuid: table for table in lake.tables(catalog, newest)}
    gone = {UUID(one.table_uuid): one for one in dropped_tables(catalog)}
    if lost := sorted(t.name for uuid, t in then.items() if uuid not in now and uuid not in gone):
        raise _irreversible(
            f"{len(lost)} of its tables were dropped since, and are not kept any more.",
            "Choose a later snapshot.",
        )
    changed = touched_since(catalog, snapshot_id, newest)
    touched = [u for u in then if u in now and (changed is None or now[u].table_id in changed)]
    missing = [uuid for uuid in then if uuid not in now]
    newer = [_whole(catalog, newest, uuid) for uuid in now if uuid not in then]
    if len(touched) + len(missing) + len(newer) > MOST_TABLES:
        raise _irreversible(
            f"More than {MOST_TABLES} tables changed since.", "Take tables back one by one."
        )
    last = [_whole(catalog, newest, uuid) for uuid in touched]
    last += [_whole(catalog, gone[uuid].last_snapshot, uuid) for uuid in missing]
    _refuse_others(actor, catalog, [*last, *newer])
    tables = [
        _back(catalog, (snapshot_id, newest), place, table, gone.get(table.table_uuid))
        for place, table in enumerate(last)
    ]
    return CatalogRollback(
        snapshot_id=snapshot_id,
        tables=tuple(tables),
        newer=tuple((table, layout_of(catalog, newest, table)) for table in newer),
        views=_view_rows(catalog, snapshot_id) != _view_rows(catalog, newest),
    )


@audit.service
def roll_back_catalog(
    *,
    actor: Actor,
    catalog: Catalog,
    snapshot_id: int,
    message: str = "",
    idempotency_key: str = "",
) -> Job:
    """Queue the return of a whole catalog to a snapshot. Raises as `preview_catalog_rollback`."""
    digest = digest_of(actor, "roll back all", snapshot_id)
    if earlier := repeated(catalog, idempotency_key, digest, JobKind.ROLL_BACK_CATALOG):
        return earlier
    found = preview_catalog_rollback(actor=actor, catalog=catalog, snapshot_id=snapshot_id)
    if not (found.tables or found.newer or found.views):
        raise InvalidChange(f"{catalog.name} is as it was at snapshot {snapshot_id}.")
    shown = found.as_dict()
    audit.record(
        actor=actor,
        event=Event.SNAPSHOT_ROLLED_BACK,
        target=securables.target(catalog.securable),
        after={"snapshot_id": snapshot_id, "tables": shown["tables"]},
    )
    return enqueue_job(
        actor=actor,
        catalog=catalog,
        kind=JobKind.ROLL_BACK_CATALOG,
        arguments={
            "snapshot_id": snapshot_id,
            "drops": [_drop(table) for table, _ in found.newer],
            "expects_dropped": [_expected(table, layout) for table, layout in found.newer],
            "restores": [_restore(one.dropped) for one in found.tables if one.dropped],
            "views": found.views,
            "tables": [
                {
                    "statements": list(one.statements),
                    "setup": list(one.plan.setup),
                    "rows": list(one.plan.rows),
                    "expects": None if one.dropped else one.expects,
                }
                for one in found.tables
            ],
            "last_mark": _last_mark(found),
            "digest": digest,
            "message": message or f"Roll {catalog.name} back to snapshot {snapshot_id}",
        },
        idempotency_key=idempotency_key,
    )


def _last_mark(found: CatalogRollback) -> int:
    """Return the number of the commit by which all is done; see `writer.catalogs`."""
    if not found.tables:
        return 0 if found.views else 1
    return 2 + sum(len(one.statements) for one in found.tables)


def _back(
    catalog: Catalog, between: tuple[int, int], place: int, last: Table, dropped: Dropped | None
) -> TableBack:
    """Return the way of one table back, from the second snapshot to the first."""
    snapshot_id, newest = between
    then = _whole(catalog, snapshot_id, last.table_uuid)
    at = dropped.last_snapshot if dropped else newest
    layout = layout_of(catalog, at, last)
    plan = reversal(layout_of(catalog, snapshot_id, then), layout, snapshot_id, place)
    refuse_unprotected(catalog, then, plan)
    sentences, statements = steps_of(layout, plan)
    return TableBack(then, last, layout, plan, tuple(sentences), tuple(statements), dropped)


def _whole(catalog: Catalog, snapshot_id: int, table_uuid: UUID) -> Table:
    found = lake.table_by_uuid(catalog, snapshot_id, table_uuid)
    if found is None:
        raise _irreversible("One of its tables changed meanwhile.", "Ask again.")
    return found


def _refuse_others(actor: Actor, catalog: Catalog, tables: Sequence[Table]) -> None:
    """Refuse who does not see all of what would change, or may not change it."""
    parent = catalog.securable
    named = [table.securable(parent) for table in tables]
    asked = [Request(a, s) for s in named for a in (Action.CATALOG_BROWSE, Action.TABLE_ALTER)]
    decisions = governance.decide_many(actor, asked)
    whole = as_shown_to(actor, catalog, tables)
    sees = all(d.allowed for d in decisions[::2]) and all(
        len(seen.columns) == len(table.columns) for seen, table in zip(whole, tables, strict=True)
    )
    if not sees:
        raise _irreversible(
            "Tables or columns that you do not see would change.",
            "Ask somebody who sees the whole catalog.",
        )
    for request, decision in zip(asked, decisions, strict=True):
        if not decision.allowed:
            raise governance.denied(actor, decision, request.securable)


def _view_rows(catalog: Catalog, snapshot_id: int) -> set[tuple[int, int, str]]:
    found = lake.views(catalog, snapshot_id)
    return {(view.view_id, view.begin_snapshot, view.comment) for view in found}


def _expected(table: Table, layout: Layout) -> dict[str, Any]:
    return {
        "schema": table.schema_name,
        "table": table.name,
        "table_uuid": str(table.table_uuid),
        "schema_version": layout.schema_version,
    }


def _restore(dropped: Dropped) -> dict[str, Any]:
    return {
        "table_id": dropped.table_id,
        "end_snapshot": dropped.end_snapshot,
        "schema": dropped.schema_name,
        "table": dropped.name,
    }


def _drop(table: Table) -> str:
    return f'DROP TABLE "lake".{quoted(table.schema_name)}.{quoted(table.name)}'


def _irreversible(why: str, hint: str) -> CatalogNotReversible:
    return CatalogNotReversible(why, hint=hint)
