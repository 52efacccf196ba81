"""Makes tables and schemas, empty, by the catalog's writer."""

from __future__ import annotations

from dataclasses import dataclass, replace

from accounts.domain import Actor
from audit import services as audit
from audit.domain import Event
from catalog import lake
from catalog.domain import JobKind
from catalog.lake.types import quoted
from catalog.models import Catalog, Job
from catalog.names import check_schema_name, check_table_name
from catalog.selectors import did_you_mean
from catalog.services.jobs import enqueue_job
from catalog.services.tables import digest_of, repeated
from catalog.services.uploads import TableExists
from catalog.tables.layout import ColumnLayout, InvalidChange, Layout, PartitionKey, SortKey
from catalog.tables.literals import literal
from catalog.tables.operations import (
    CommentColumn,
    CommentTable,
    Operation,
    PartitionBy,
    SortBy,
    target,
)
from governance import securables
from governance import services as governance
from governance.domain import Action
from problems import Conflict, NotFound

MAX_COLUMNS = 2000


class SchemaExists(Conflict):
    """There is a schema of this name already."""

    code = "schema-exists"
    title = "The schema is already there"


class SchemaNotEmpty(Conflict):
    """A schema with tables cannot be dropped."""

    code = "schema-not-empty"
    title = "The schema has tables"


class UnknownSchema(NotFound):
    """There is no such schema."""

    code = "unknown-schema"
    title = "There is no such schema"


@dataclass(frozen=True, slots=True)
class NewTable:
    """A table that is to be made; types are canonical."""

    schema: str
    name: str
    columns: tuple[ColumnLayout, ...]
    comment: str = ""
    partition_by: tuple[PartitionKey, ...] = ()
    sort_by: tuple[SortKey, ...] = ()


def preview_table(
    *, actor: Actor, catalog: Catalog, table: NewTable
) -> tuple[Layout, tuple[str, ...]]:
    """Return the definition that a new table would have, and the statements that make it.

    Raises `AccessDenied`, `InvalidName`, `InvalidChange`, `TableExists` or `UnknownSchema`.
    """
    governance.authorize(actor, Action.TABLE_CREATE, catalog.securable)
    check_schema_name(table.schema)
    check_table_name(table.name)
    newest = lake.latest_snapshot(catalog).snapshot_id
    known_schema(catalog, newest, table.schema)
    if lake.table(catalog, newest, table.schema, table.name) or lake.view(
        catalog, newest, table.schema, table.name
    ):
        raise TableExists(
            f"{catalog.name}.{table.schema}.{table.name} is already there.",
            hint="Choose another name.",
        )
    if not 0 < len(table.columns) <= MAX_COLUMNS:
        raise InvalidChange(f"A table has 1 to {MAX_COLUMNS:,} columns.")
    layout = Layout(table.schema, table.name, ())
    for column in table.columns:
        layout.check_new_name(column.name)
        layout = replace(layout, columns=(*layout.columns, replace(column, comment="")))
    statements = [_create(layout)]
    more: list[Operation] = [
        CommentColumn(column.name, column.comment) for column in table.columns if column.comment
    ]
    more += [CommentTable(table.comment)] if table.comment else []
    more += [PartitionBy(table.partition_by)] if table.partition_by else []
    more += [SortBy(table.sort_by)] if table.sort_by else []
    for operation in more:
        statements.append(operation.sql(layout))
        layout = operation.apply(layout)
    return layout, tuple(statements)


@audit.service
def create_table(
    *, actor: Actor, catalog: Catalog, table: NewTable, idempotency_key: str = ""
) -> Job:
    """Queue the making of an empty table; return the job. Raises as `preview_table`."""
    digest = digest_of(actor, table)
    if earlier := repeated(catalog, idempotency_key, digest):
        return earlier
    _, statements = preview_table(actor=actor, catalog=catalog, table=table)
    label = f"{catalog.name}.{table.schema}.{table.name}"
    audit.record(
        actor=actor,
        event=Event.TABLE_ALTERED,
        target=securables.target(catalog.securable),
        after={"created": label, "statements": list(statements)},
    )
    return enqueue_job(
        actor=actor,
        catalog=catalog,
        kind=JobKind.DEFINE,
        arguments={
            "schema": table.schema,
            "table": table.name,
            "statements": list(statements),
            "digest": digest,
            "message": f"Create {label}",
        },
        idempotency_key=idempotency_key,
    )


@audit.service
def create_schema(*, actor: Actor, catalog: Catalog, name: str) -> Job:
    """Queue the making of a schema. Raises `AccessDenied`, `InvalidName` or `SchemaExists`."""
    governance.authorize(actor, Action.TABLE_CREATE, catalog.securable)
    check_schema_name(name)
    if name in lake.schemas(catalog, lake.latest_snapshot(catalog).snapshot_id):
        raise SchemaExists(f"{catalog.name} has a schema {name!r} already.")
    return _schema_job(actor, catalog, name, f"CREATE SCHEMA {_lake_name(name)}", "Create")


@audit.service
def drop_schema(*, actor: Actor, catalog: Catalog, name: str) -> Job:
    """Queue the dropping of an empty schema.

    Raises `AccessDenied`, `UnknownSchema` or `SchemaNotEmpty`.
    """
    governance.authorize(actor, Action.TABLE_ALTER, catalog.securable)
    newest = lake.latest_snapshot(catalog).snapshot_id
    known = known_schema(catalog, newest, name)
    if known == "main":
        raise SchemaNotEmpty("Every catalog keeps its schema main.")
    held = {table.schema_name for table in lake.page(catalog, newest)}
    if known in held | {view.schema_name for view in lake.views(catalog, newest)}:
        raise SchemaNotEmpty(
            f"{catalog.name}.{known} has tables or views.", hint="Drop those first."
        )
    return _schema_job(actor, catalog, known, f"DROP SCHEMA {_lake_name(known)}", "Drop")


def _schema_job(actor: Actor, catalog: Catalog, name: str, statement: str, verb: str) -> Job:
    audit.record(
        actor=actor,
        event=Event.TABLE_ALTERED,
        target=securables.target(catalog.securable),
        after={"statements": [statement]},
    )
    return enqueue_job(
        actor=actor,
        catalog=catalog,
        kind=JobKind.DEFINE,
        arguments={
            "schema": name,
            "statements": [statement],
            "message": f"{verb} the schema {catalog.name}.{name}",
        },
    )


def known_schema(catalog: Catalog, snapshot_id: int, name: str) -> str:
    """Return a schema's name as it is spelled. Raises `UnknownSchema`."""
    known = lake.schemas(catalog, snapshot_id)
    found = next((one for one in known if one.lower() == name.lower()), None)
    if found is None:
        raise UnknownSchema(
            f"{catalog.name} has no schema {name[:80]!r}.",
            hint=did_you_mean(name, known) or "Create the schema first.",
        )
    return found


def _create(layout: Layout) -> str:
    columns = ", ".join(_column(column) for column in layout.columns)
    return f"CREATE TABLE {target(layout)} ({columns})"


def _column(column: ColumnLayout) -> str:
    null = "" if column.nulls_allowed else " NOT NULL"
    default = "" if column.default is None else f" DEFAULT {literal(column.default)}"
    return f"{quoted(column.name)} {column.type}{null}{default}"


def _lake_name(schema: str) -> str:
    return f'"lake".{quoted(schema)}'
