"""Changes tables' definitions: previewed by pure functions, carried out by the catalog's writer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from accounts.domain import Actor
from audit import services as audit
from audit.domain import Event
from catalog import lake
from catalog.domain import JobKind, Table
from catalog.models import Catalog, Job
from catalog.selectors import as_shown_to, find_table
from catalog.services.jobs import IdempotencyConflict, enqueue_job
from catalog.services.uploads import TableExists
from catalog.tables.definitions import newest_layout
from catalog.tables.layout import Layout
from catalog.tables.operations import Operation
from catalog.tables.previews import Preview, preview
from governance import securables
from governance import services as governance
from governance.domain import Action
from problems import Problem


class TableChanged(Problem):
    """The table is not in the version that the request was made for."""

    code = "table-changed"
    status = 412
    title = "The table has changed"


@dataclass(frozen=True, slots=True)
class Viewed:
    """A table as its definition looks to somebody."""

    table: Table
    layout: Layout


def definition_of(actor: Actor, catalog: Catalog, schema: str, name: str) -> Viewed:
    """Return a table's definition as `actor` may know of it. Raises `UnknownTable`."""
    newest = lake.latest_snapshot(catalog).snapshot_id
    table = find_table(actor, catalog, newest, schema, name)
    (seen,) = as_shown_to(actor, catalog, [table])
    return Viewed(table, newest_layout(catalog, table, seen))


def preview_changes(
    *, actor: Actor, catalog: Catalog, schema: str, table: str, operations: Sequence[Operation]
) -> Preview:
    """Return what the operations would do and break; nothing is written.

    Raises `AccessDenied`, `UnknownTable` or `InvalidChange`.
    """
    viewed = definition_of(actor, catalog, schema, table)
    securable = viewed.table.securable(catalog.securable)
    governance.authorize(actor, Action.TABLE_ALTER, securable)
    _refuse_taken(
        catalog, viewed, found := preview(actor, catalog, viewed.table, viewed.layout, operations)
    )
    return found


@audit.service
def change_table(
    *,
    actor: Actor,
    catalog: Catalog,
    schema: str,
    table: str,
    operations: Sequence[Operation],
    if_version: int | None = None,
    message: str = "",
    idempotency_key: str = "",
) -> Job:
    """Queue the operations on a table, each a commit of its own; return the job.

    `if_version` is the version of the definition that the caller has seen; where another change
    comes first, this one fails whole. Raises `AccessDenied`, `UnknownTable`, `InvalidChange`,
    `TableChanged` or `IdempotencyConflict`.
    """
    digest = digest_of(actor, schema, table, tuple(operations))
    if earlier := repeated(catalog, idempotency_key, digest):
        return earlier
    viewed = definition_of(actor, catalog, schema, table)
    securable = viewed.table.securable(catalog.securable)
    governance.authorize(actor, Action.TABLE_ALTER, securable)
    if if_version is not None and if_version != viewed.layout.schema_version:
        raise TableChanged(
            f"{viewed.table.label} is in version {viewed.layout.schema_version} now, not"
            f" {if_version}.",
            hint="Read the table again, and send the change with its version.",
            schema_version=viewed.layout.schema_version,
        )
    planned = preview(actor, catalog, viewed.table, viewed.layout, operations)
    _refuse_taken(catalog, viewed, planned)
    audit.record(
        actor=actor,
        event=Event.TABLE_ALTERED,
        target=securables.target(securable),
        before={"schema_version": viewed.layout.schema_version},
        after=planned.as_dict(),
    )
    return enqueue_job(
        actor=actor,
        catalog=catalog,
        kind=JobKind.DEFINE,
        arguments={
            "schema": viewed.table.schema_name,
            "table": viewed.table.name,
            "statements": list(planned.statements),
            "digest": digest,
            "message": message or " ".join(planned.sentences)[:500],
            "expects": {
                "schema": viewed.table.schema_name,
                "table": viewed.table.name,
                "table_uuid": str(viewed.table.table_uuid),
                "schema_version": viewed.layout.schema_version,
            },
        },
        idempotency_key=idempotency_key,
    )


def repeated(catalog: Catalog, key: str, digest: str, kind: JobKind = JobKind.DEFINE) -> Job | None:
    """Return the job that the key already made. Raises `IdempotencyConflict`."""
    found = Job.objects.filter(catalog=catalog, idempotency_key=key).first() if key else None
    if found is not None and (found.kind, found.arguments.get("digest")) != (
        kind,
        digest,
    ):
        raise IdempotencyConflict(
            f"The idempotency key {key!r} belongs to another write to {catalog.name}.",
            hint="Use a new key for a new request.",
        )
    return found


def digest_of(actor: Actor, *asked: object) -> str:
    """Return what two requests share that ask the same of the same person."""
    return hashlib.sha256(repr((str(actor.id), *asked)).encode()).hexdigest()


def _refuse_taken(catalog: Catalog, viewed: Viewed, planned: Preview) -> None:
    """Raise `TableExists` where the new name is another table's."""
    after = planned.after
    if after.table == viewed.table.name:
        return
    newest = lake.latest_snapshot(catalog).snapshot_id
    other = lake.table(catalog, newest, after.schema, after.table)
    if other is not None and other.table_uuid != viewed.table.table_uuid:
        raise TableExists(
            f"{catalog.name}.{after.schema}.{after.table} is already there.",
            hint="Choose another name.",
        )
