"""What was lately done with one table: queries that one may see, and what was loaded into it."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.domain import Actor
from catalog import lake, selectors
from catalog.domain import JobKind, Table
from catalog.models import Catalog, Job
from console.access import actor_of, signed_in, workspace_of
from execution.models import Query
from execution.selectors import queries_of

LOOKED_AT = 400
"""So many of the newest queries are looked through: a plan's tables have no index."""

SHOWN = 10
LOADS = (JobKind.APPEND, JobKind.CREATE_TABLE, JobKind.INGEST)


@dataclass(frozen=True, slots=True)
class Activity:
    """The newest queries and loads of a table."""

    queries: tuple[Query, ...]
    loads: tuple[Job, ...]
    looked_at: int = LOOKED_AT


def activity_of(actor: Actor, catalog: Catalog, table: Table) -> Activity:
    """Return the newest queries of the table that `actor` may see, and its newest loads."""
    rows = queries_of(actor, catalog.workspace).order_by("-created_at")
    newest = list(rows.values_list("id", "plan__decisions")[:LOOKED_AT])
    ids = [
        query_id
        for query_id, decisions in newest
        if any(one["securable"]["key"] == table.key for one in decisions or ())
    ]
    found = rows.filter(id__in=ids[:SHOWN])
    named = Q(arguments__schema=table.schema_name, arguments__table=table.name)
    loads = Job.objects.filter(named, catalog=catalog, kind__in=LOADS).order_by("-created_at")
    return Activity(tuple(found), tuple(loads[:SHOWN]))


@require_safe
@signed_in
def activity(
    request: HttpRequest, workspace: str, catalog: str, schema: str, table: str
) -> HttpResponseBase:
    """Answer the part of a table's page that says what was lately done with it."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_catalog(actor, place, catalog)
    newest = lake.latest_snapshot(found).snapshot_id
    one = selectors.find_table(actor, found, newest, schema, table)
    context = {"workspace": place, "activity": activity_of(actor, found, one)}
    return render(request, "catalog/activity.html", context)
