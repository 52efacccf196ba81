"""Brings dropped tables back, as they were when they were dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from accounts.domain import Actor
from audit import services as audit
from audit.domain import Event
from catalog import lake
from catalog.domain import JobKind, Table
from catalog.lake.dropped import Dropped, dropped_tables
from catalog.models import Catalog, Job
from catalog.services.jobs import enqueue_job
from catalog.services.tables import digest_of, repeated
from catalog.services.uploads import TableExists
from governance import securables
from governance import services as governance
from governance.domain import Action, Request
from problems import NotFound

MOST = 100
"""So many are told, those that were dropped last."""


class UnknownDroppedTable(NotFound):
    """No such table was dropped, or it is not kept any more, or the actor may not know of it."""

    code = "unknown-dropped-table"
    title = "There is no such dropped table"


@dataclass(frozen=True, slots=True)
class Restorable:
    """A dropped table that somebody may see, as it was at its last snapshot."""

    dropped: Dropped
    table: Table

    def as_dict(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {
            "table_uuid": self.dropped.table_uuid,
            "schema_name": self.dropped.schema_name,
            "name": self.dropped.name,
            "last_snapshot": self.dropped.last_snapshot,
            "dropped_at": self.dropped.dropped_at,
            "dropped_by": self.dropped.author,
            "record_count": self.table.record_count,
            "file_size_bytes": self.table.file_size_bytes,
        }


def restorable_tables(actor: Actor, catalog: Catalog) -> list[Restorable]:
    """Return the dropped tables that could come back and that `actor` might browse then."""
    found = [
        Restorable(one, table)
        for one in dropped_tables(catalog, MOST)
        if (table := lake.table_by_uuid(catalog, one.last_snapshot, UUID(one.table_uuid)))
    ]
    parent = catalog.securable
    asked = [Request(Action.CATALOG_BROWSE, one.table.securable(parent)) for one in found]
    decisions = governance.decide_many(actor, asked)
    return [one for one, decision in zip(found, decisions, strict=True) if decision.allowed]


def preview_restore(*, actor: Actor, catalog: Catalog, table_uuid: UUID) -> dict[str, Any]:
    """Return what restoring a table would do; nothing is written.

    Raises `UnknownDroppedTable`, `AccessDenied` or `TableExists`.
    """
    found = _may_restore(actor, catalog, table_uuid)
    return {
        "schema_version": 0,
        "steps": [
            {
                "does": f"Brings {found.table.label} back as it was at snapshot"
                f" {found.dropped.last_snapshot}, with {found.table.record_count:,} rows, its"
                " tags and the policies that name it; no file is copied.",
                "sql": "",
            }
        ],
        "breaks": [],
    }


@audit.service
def restore_table(
    *, actor: Actor, catalog: Catalog, table_uuid: UUID, idempotency_key: str = ""
) -> Job:
    """Queue the return of a dropped table as a new snapshot. Raises as `preview_restore`."""
    digest = digest_of(actor, "restore", table_uuid)
    if earlier := repeated(catalog, idempotency_key, digest, JobKind.RESTORE_TABLE):
        return earlier
    found = _may_restore(actor, catalog, table_uuid)
    label, at = found.table.label, found.dropped.last_snapshot
    audit.record(
        actor=actor,
        event=Event.TABLE_ALTERED,
        target=securables.target(found.table.securable(catalog.securable)),
        after={"restored": label, "snapshot_id": at},
    )
    return enqueue_job(
        actor=actor,
        catalog=catalog,
        kind=JobKind.RESTORE_TABLE,
        arguments={
            "schema": found.dropped.schema_name,
            "table": found.dropped.name,
            "dropped": {
                "table_id": found.dropped.table_id,
                "end_snapshot": found.dropped.end_snapshot,
                "schema": found.dropped.schema_name,
                "table": found.dropped.name,
            },
            "digest": digest,
            "message": f"Restore {label} as of snapshot {at}",
        },
        idempotency_key=idempotency_key,
    )


def _may_restore(actor: Actor, catalog: Catalog, table_uuid: UUID) -> Restorable:
    found = next(
        (
            one
            for one in restorable_tables(actor, catalog)
            if UUID(one.dropped.table_uuid) == table_uuid
        ),
        None,
    )
    if found is None:
        raise UnknownDroppedTable(
            f"No table {table_uuid} was dropped from {catalog.name} that could come back.",
            hint="A table comes back while the last snapshot that has it is kept.",
        )
    governance.authorize(actor, Action.TABLE_ALTER, found.table.securable(catalog.securable))
    schema, name = found.dropped.schema_name, found.dropped.name
    newest = lake.latest_snapshot(catalog).snapshot_id
    if lake.table(catalog, newest, schema, name) or lake.view(catalog, newest, schema, name):
        raise TableExists(
            f"{catalog.name}.{schema}.{name} is the name of another by now.",
            hint="Rename that one first.",
        )
    return found
