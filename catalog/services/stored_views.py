"""Makes and changes views: previewed, then written by the catalog's writer as one snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
from catalog.services.new_tables import known_schema
from catalog.services.tables import digest_of, repeated
from catalog.services.uploads import TableExists
from catalog.stored_views import seen, texts
from catalog.stored_views.seen import SeenView
from catalog.tables.layout import InvalidChange
from catalog.tables.operations import check_comment, comment_sql
from governance import securables
from governance import services as governance
from governance.domain import Action
from problems import NotFound


class UnknownView(NotFound):
    """There is no such view, or the actor may not know that there is."""

    code = "unknown-view"
    title = "There is no such view"


@dataclass(frozen=True, slots=True)
class ViewChange:
    """One change of a view: what it does in words, as SQL, and as the writer is told.

    `columns` are what a new text gives its author; `breaks` are views that name this one.
    """

    does: str
    sql: str
    change: dict[str, Any]
    columns: tuple[tuple[str, str], ...] = ()
    breaks: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {
            "schema_version": 0,
            "steps": [{"does": self.does, "sql": self.sql}],
            "breaks": [
                {"kind": "view", "name": name, "detail": "reads it: it may fail."}
                for name in self.breaks
            ],
            "columns": [{"name": name, "type": kind} for name, kind in self.columns],
        }


def find_view(actor: Actor, catalog: Catalog, schema: str, name: str) -> SeenView:
    """Return one view that `actor` may see, as it is now. Raises `UnknownView`."""
    newest = lake.latest_snapshot(catalog).snapshot_id
    found = seen.visible_views(actor, catalog, newest, with_columns=True)
    wanted = (schema.lower(), name.lower())
    for one in found:
        if (one.view.schema_name.lower(), one.view.name.lower()) == wanted:
            return one
    label = f"{catalog.name}.{schema}.{name}"
    raise UnknownView(
        f"There is no view {label}.", hint=did_you_mean(label, [one.label for one in found])
    )


def preview_new_view(
    *,
    actor: Actor,
    catalog: Catalog,
    schema: str,
    name: str,
    sql: str,
    comment: str | None = None,
    replace: bool = False,
) -> ViewChange:
    """Return what making a view would do; nothing is written.

    A view that is replaced keeps its comment where `comment` is None.
    Raises `AccessDenied`, `InvalidName`, `TableExists`, `UnknownSchema`, `UnknownView`, or what a
    query of the text by `actor` would: a view reads only what its author may query.
    """
    action = Action.TABLE_ALTER if replace else Action.TABLE_CREATE
    governance.authorize(actor, action, catalog.securable)
    check_schema_name(schema)
    check_table_name(name)
    check_comment(comment or "")
    newest = lake.latest_snapshot(catalog).snapshot_id
    known = known_schema(catalog, newest, schema)
    before = find_view(actor, catalog, known, name) if replace else None
    if before is None:
        _refuse_taken(catalog, newest, known, name)
    draft = texts.registered().draft(actor, catalog, known, sql)
    label = f"{catalog.name}.{known}.{name}"
    change: dict[str, Any] = {
        "op": "create",
        "schema": known,
        "name": name,
        "sql": draft.sql,
        "comment": comment,
    }
    if before is not None:
        change |= {"name": before.view.name, "replaces": _expected(before)}
    verb = "Puts another text in the place of" if before else "Makes"
    return ViewChange(
        does=f"{verb} the view {label}; whoever queries it reads with rights of their own.",
        sql=f"CREATE {'OR REPLACE ' if before else ''}VIEW {_target(known, name)} AS {draft.sql}",
        change=change,
        columns=draft.columns,
        breaks=_naming(actor, catalog, before) if before else (),
    )


def preview_view_change(
    *, actor: Actor, catalog: Catalog, schema: str, name: str, op: str, value: str = ""
) -> ViewChange:
    """Return what `rename` (to `value`), `comment` (`value`) or `drop` would do to a view.

    Raises `AccessDenied`, `UnknownView`, `InvalidName`, `InvalidChange` or `TableExists`.
    """
    found = find_view(actor, catalog, schema, name)
    governance.authorize(actor, Action.TABLE_ALTER, catalog.securable)
    view, target = found.view, _target(found.view.schema_name, found.view.name)
    change = {"op": op, **_expected(found)}
    breaks = _naming(actor, catalog, found)
    match op:
        case "rename":
            check_table_name(value)
            _refuse_taken(
                catalog, lake.latest_snapshot(catalog).snapshot_id, view.schema_name, value
            )
            does = f"Renames the view {view.name} to {value}; what names it does not follow."
            sql = f"ALTER VIEW {target} RENAME TO {quoted(value)}"
            return ViewChange(does, sql, change | {"to": value}, breaks=breaks)
        case "comment":
            check_comment(value)
            does = "Sets the comment of the view." if value else "Takes the comment away."
            sql = f"COMMENT ON VIEW {target} IS {comment_sql(value)}"
            return ViewChange(does, sql, change | {"comment": value})
        case "drop":
            does = f"Drops the view {found.label}; the tables that it reads stay as they are."
            return ViewChange(does, f"DROP VIEW {target}", change, breaks=breaks)
        case _:
            raise InvalidChange(f"{op[:40]!r} is no change of a view.")


@audit.service
def create_view(
    *,
    actor: Actor,
    catalog: Catalog,
    schema: str,
    name: str,
    sql: str,
    comment: str | None = None,
    replace: bool = False,
    idempotency_key: str = "",
) -> Job:
    """Queue the making of a view, or of another text for it. Raises as `preview_new_view`."""
    digest = digest_of(actor, "view", schema, name, sql, comment, replace)
    if earlier := repeated(catalog, idempotency_key, digest, JobKind.CHANGE_VIEW):
        return earlier
    planned = preview_new_view(
        actor=actor,
        catalog=catalog,
        schema=schema,
        name=name,
        sql=sql,
        comment=comment,
        replace=replace,
    )
    return _queued(actor, catalog, planned, digest, idempotency_key)


@audit.service
def change_view(
    *,
    actor: Actor,
    catalog: Catalog,
    schema: str,
    name: str,
    op: str,
    value: str = "",
    idempotency_key: str = "",
) -> Job:
    """Queue a renaming, comment or dropping of a view. Raises as `preview_view_change`."""
    digest = digest_of(actor, "view", schema, name, op, value)
    if earlier := repeated(catalog, idempotency_key, digest, JobKind.CHANGE_VIEW):
        return earlier
    planned = preview_view_change(
        actor=actor, catalog=catalog, schema=schema, name=name, op=op, value=value
    )
    return _queued(actor, catalog, planned, digest, idempotency_key)


def _queued(actor: Actor, catalog: Catalog, planned: ViewChange, digest: str, key: str) -> Job:
    audit.record(
        actor=actor,
        event=Event.TABLE_ALTERED,
        target=securables.target(catalog.securable),
        after={"statements": [planned.sql]},
    )
    return enqueue_job(
        actor=actor,
        catalog=catalog,
        kind=JobKind.CHANGE_VIEW,
        arguments={"change": planned.change, "digest": digest, "message": planned.does[:500]},
        idempotency_key=key,
    )


def _expected(found: SeenView) -> dict[str, Any]:
    view = found.view
    return {
        "view_id": view.view_id,
        "begin_snapshot": view.begin_snapshot,
        "schema": view.schema_name,
        "name": view.name,
    }


def _naming(actor: Actor, catalog: Catalog, found: SeenView) -> tuple[str, ...]:
    """Return the views that `actor` may see and that read this one."""
    newest = lake.latest_snapshot(catalog).snapshot_id
    name = f"{found.view.schema_name}.{found.view.name}"
    others = seen.visible_views(actor, catalog, newest)
    return tuple(one.label for one in others if name in one.through)


def _refuse_taken(catalog: Catalog, snapshot_id: int, schema: str, name: str) -> None:
    if lake.table(catalog, snapshot_id, schema, name) or lake.view(
        catalog, snapshot_id, schema, name
    ):
        raise TableExists(
            f"{catalog.name}.{schema}.{name} is already there.",
            hint="Choose another name, or replace the view that bears it.",
        )


def _target(schema: str, name: str) -> str:
    return f'"lake".{quoted(schema)}.{quoted(name)}'
