"""Reads of what runs: one query, what is visible of it, and what its tables are to a policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from uuid import UUID

from django.db import connection
from django.db.models import Max, QuerySet, Sum

from accounts.composed import Composed, ComposedFor, first, numbered
from accounts.domain import Actor
from accounts.models import Device
from catalog.models import Catalog
from execution import footing
from execution.models import Query, ResultExport, SavedQuery
from governance import securables
from governance import selectors as governance
from governance.domain import Action, Request, Securable, SecurableKind
from problems import NotFound
from workspaces.models import Workspace


def queries_of(actor: Actor, workspace: Workspace) -> QuerySet[Query]:
    """Return the workspace's queries that `actor` may see, newest first."""
    rows = Query.objects.visible_to(actor).filter(workspace=workspace)
    rows = rows.defer("execution", "footing", "receipt")  # for many files they are megabytes
    return rows.select_related("workspace__organization", "user", "service_account", "device")


def _one(actor: Actor, *, query_id: UUID, workspace: UUID) -> QuerySet[Query]:
    rows = queries_of(actor, Workspace(id=workspace)).order_by()
    # One query is mostly asked for to read its rows, which stands on what it was planned on.
    return rows.defer(None).defer("execution", "receipt").filter(id=query_id)


_query = ComposedFor(_one)


def find_query(actor: Actor, workspace: Workspace, query_id: UUID) -> Query:
    """Return one query. Raises `NotFound` where there is none that `actor` may see."""
    query = first(_query.ask(actor, query_id=query_id, workspace=workspace.id))
    if query is None:
        raise _not_found()
    return query


def _not_found() -> NotFound:
    message = "There is no such query, or you may not see it."
    return NotFound(message, hint="People see their own queries; owners and stewards see all.")


MOVES = (
    "state", "attempts", "progress", "problem", "engine_error", "columns", "row_count",
    "result_bytes", "result_key", "result_expires_at", "evicted_at", "truncated", "bytes_read",
    "engine_seconds", "run_seconds", "started_at", "finished_at",
)  # fmt: skip
"""The fields of a server's query that change after it is made, and that anybody is shown."""


def look_again(actor: Actor, query: Query) -> Query:
    """Read what may have changed of a query since it was read; the plan, for one, has not.

    One's own query needs no other right than to be in the workspace. Raises `NotFound` where the
    actor may no longer see it.
    """
    is_own = actor.id in {query.user_id, query.service_account_id}
    now = first((_own_again if is_own else _again).ask(actor, query_id=query.id))
    if now is None:
        raise _not_found()
    for name in MOVES:
        setattr(query, name, getattr(now, name))
    return query


def _moved(actor: Actor, query_id: UUID, rows: QuerySet[Query]) -> QuerySet[Query]:
    here = Workspace.objects.visible_to(actor).order_by()
    return rows.filter(workspace__in=here, id=query_id).order_by().only(*MOVES)


_own_again = ComposedFor(lambda actor, query_id: _moved(actor, query_id, Query.objects.all()))
_again = ComposedFor(
    lambda actor, query_id: _moved(actor, query_id, Query.objects.visible_to(actor))
)


STORED = """
SELECT coalesce((
           SELECT sum(size) FROM (
               SELECT max(result_bytes) AS size FROM execution_query
                WHERE workspace_id = %(workspace)s AND result_key <> '' GROUP BY result_key
           ) AS results
       ), 0) + coalesce((
           SELECT sum(size) FROM (
               SELECT max(export.size_bytes) AS size
                 FROM execution_resultexport AS export
                 JOIN execution_query AS query ON query.id = export.query_id
                WHERE query.workspace_id = %(workspace)s AND query.result_key <> ''
                GROUP BY query.result_key, export.format
           ) AS others
       ), 0)
"""


def stored_bytes(workspace: Workspace) -> int:
    """Return what the workspace's results take in the bucket, each object counted once.

    Asked at the end of each run: `bytes_of` all of them, in one statement.
    """
    with connection.cursor() as cursor:
        cursor.execute(STORED, {"workspace": workspace.id})
        (total,) = cursor.fetchone()
    return int(total)


def bytes_of(queries: QuerySet[Query]) -> int:
    """Return the size of the queries' results and of all their other formats, each object once."""
    exports = ResultExport.objects.filter(query__in=queries.order_by().values("id"))
    sizes = queries.order_by().values("result_key").annotate(size=Max("result_bytes"))
    others = exports.values("query__result_key", "format").annotate(size=Max("size_bytes"))
    totals = (rows.aggregate(total=Sum("size"))["total"] for rows in (sizes, others))
    return sum(total or 0 for total in totals)


def saved_queries_of(actor: Actor, workspace: Workspace) -> QuerySet[SavedQuery]:
    """Return the workspace's saved queries, which all who belong to it share."""
    visible = Workspace.objects.visible_to(actor).filter(id=workspace.id)
    return SavedQuery.objects.filter(workspace__in=visible).select_related("created_by")


def tables_of(query: Query) -> list[Securable]:
    """Return the tables that the plan read, as a policy names them now.

    Raises `NotFound` where the catalog of one was dropped since.
    """
    named = {
        decision["securable"]["key"]: decision["securable"]["label"]
        for decision in query.plan["decisions"]
        if decision["action"] == Action.TABLE_QUERY
    }
    catalogs = _catalogs_of(query.workspace, named)
    return [_table(query.workspace, catalogs, key, label) for key, label in named.items()]


def engine_error_of(actor: Actor, query: Query) -> str:
    """Return what the engine said of a failure, redacted, to who manages all that the query read.

    Empty for others, where the engine said nothing, and where policies hide any of it from them.
    """
    if not query.engine_error:
        return ""
    try:
        tables = [
            replace(table, columns=stood.columns)
            for table in tables_of(query)
            for stood in footing.all_of(table.key, query.footing)
        ]
    except NotFound:  # of what was dropped nobody is the owner
        return ""
    asked = [
        Request(action, table)
        for table in tables
        for action in (Action.CATALOG_MANAGE, Action.TABLE_QUERY)
    ] or [Request(Action.WORKSPACE_MANAGE, securables.workspace(query.workspace))]
    decisions = governance.decide_many(actor, asked)
    may = all(d.allowed and d.obligations.is_empty for d in decisions)
    return query.engine_error if may else ""


def table_securable(workspace: Workspace, key: str, label: str) -> Securable:
    """Return the table of a key, `table:<catalog uuid>/<table uuid>`, below its live catalog."""
    return _table(workspace, _catalogs_of(workspace, [key]), key, label)


_live = Composed(
    lambda workspace, **ids: (
        Catalog.objects.live().filter(id__in=ids.values(), workspace=workspace).order_by()
    )
)


def _catalogs_of(workspace: Workspace, table_keys: Iterable[str]) -> dict[UUID, Catalog]:
    """Return the live catalogs that tables of these keys lie in, by id, in one look."""
    ids = set(map(_catalog_id, table_keys))
    found = {}
    if ids:
        asked = numbered("catalog", ids)
        for row in _live.ask(len(ids), workspace=workspace.id, **asked):
            row.workspace = workspace  # it is at hand, with its organization
            found[row.id] = row
    return found


def _catalog_id(table_key: str) -> UUID:
    return UUID(table_key.removeprefix("table:").partition("/")[0])


def _table(
    workspace: Workspace, catalogs: Mapping[UUID, Catalog], key: str, label: str
) -> Securable:
    catalog = catalogs.get(_catalog_id(key))
    if catalog is None:
        raise NotFound(f"The catalog of {label} was dropped.")
    return Securable(
        SecurableKind.TABLE,
        key,
        label,
        workspace.organization_id,
        workspace.id,
        catalog.securable,
    )


def find_saved_query(actor: Actor, workspace: Workspace, saved_id: UUID) -> SavedQuery:
    """Return one saved query. Raises `NotFound` where there is none that `actor` may see."""
    saved = saved_queries_of(actor, workspace).select_related("workspace").filter(id=saved_id)
    found = saved.first()
    if found is None:
        message = "There is no such saved query, or you may not see it."
        raise NotFound(message)
    return found


def find_device(actor: Actor, device_id: UUID) -> Device:
    """Return a device. Raises `NotFound` where there is none that `actor` may see."""
    rows = Device.objects.visible_to(actor).select_related("user")
    if device := rows.filter(id=device_id).first():
        return device
    message = "There is no such device, or you may not see it."
    raise NotFound(message)
