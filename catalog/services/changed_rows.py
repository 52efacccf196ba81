"""Shows some of the rows that changed between two snapshots, to whom nothing of them is hidden."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from accounts.domain import Actor
from audit import services as audit
from audit.domain import Event
from catalog import lake
from catalog.domain import JobKind, Table
from catalog.models import Catalog, Job
from catalog.selectors import UnknownJob, UnknownTable, find_table
from catalog.services.jobs import enqueue_job
from governance import securables
from governance import services as governance
from governance.domain import Action, DecisionContext, Request, Securable
from problems import Conflict

MOST_ROWS = 200
SERVER = DecisionContext(place="server")


class RowsHidden(Conflict):
    """Policies hide something of the table from the actor: the change feed knows no policy."""

    code = "changed-rows-hidden"
    title = "The changed rows cannot be shown to you"


@audit.service
def sample_changed_rows(
    *,
    actor: Actor,
    catalog: Catalog,
    schema: str,
    table: str,
    first: int,
    last: int | None = None,
    limit: int = 50,
) -> Job:
    """Queue the reading of up to `limit` rows that changed after `first`, up to `last`.

    They are read by the catalog's writer, from the files that differ; `changed_rows_of` tells
    them. Raises `AccessDenied`, `UnknownTable`, `UnknownSnapshot` or `RowsHidden`.
    """
    newest = lake.latest_snapshot(catalog).snapshot_id
    older, younger = sorted((first, newest if last is None else last))
    now = find_table(actor, catalog, newest, schema, table)
    found = [_at(catalog, now, at) for at in (older, younger)]
    _refuse_hidden(actor, [one.securable(catalog.securable) for one in (now, *found)])
    audit.record(
        actor=actor,
        event=Event.TABLE_CHANGES_READ,
        target=securables.target(now.securable(catalog.securable)),
        after={"first": older, "last": younger, "limit": min(limit, MOST_ROWS)},
    )
    return enqueue_job(
        actor=actor,
        catalog=catalog,
        kind=JobKind.SAMPLE_CHANGES,
        arguments={
            # The feed goes by the name that the table has at the younger snapshot.
            "schema": found[1].schema_name,
            "table": found[1].name,
            "table_uuid": str(now.table_uuid),
            "first": older,
            "last": younger,
            "limit": min(limit, MOST_ROWS),
        },
    )


def changed_rows_of(*, actor: Actor, catalog: Catalog, job_id: UUID) -> Job:
    """Return one's own job, with its rows in `kept` once they are read.

    Decided anew: what is hidden by now is not shown any more. Raises `UnknownJob`,
    `AccessDenied`, `UnknownTable` or `RowsHidden`.
    """
    rows = Job.objects.filter(catalog=catalog, kind=JobKind.SAMPLE_CHANGES, id=job_id)
    job = rows.filter(requested_by__id=str(actor.id)).first()
    if job is None:
        raise UnknownJob(f"There is no reading {job_id} of changed rows of yours.")
    newest = lake.latest_snapshot(catalog).snapshot_id
    uuid = UUID(job.arguments["table_uuid"])
    found = [
        one
        for at in (newest, job.arguments["first"], job.arguments["last"])
        if (one := lake.table_by_uuid(catalog, at, uuid)) is not None
    ]
    if not found:
        raise UnknownTable("The table was dropped, and the snapshots that have it are expired.")
    _refuse_hidden(actor, [one.securable(catalog.securable) for one in found])
    job.catalog = catalog
    return job


def _at(catalog: Catalog, table: Table, snapshot_id: int) -> Table:
    lake.snapshot(catalog, snapshot_id)
    found = lake.table_by_uuid(catalog, snapshot_id, table.table_uuid)
    if found is None:
        raise UnknownTable(
            f"{table.label} was not there at snapshot {snapshot_id}.",
            hint="Choose two snapshots of the table's own history.",
        )
    return found


def _refuse_hidden(actor: Actor, versions: list[Securable]) -> None:
    """Refuse whom policies let see less than all of any version: the feed knows no policy."""
    asked = [Request(Action.TABLE_QUERY, one, replace(SERVER)) for one in versions]
    for one, decision in zip(versions, governance.decide_many(actor, asked), strict=True):
        if not decision.allowed:
            raise governance.denied(actor, decision, one)
        if not decision.obligations.is_empty:
            raise RowsHidden(
                f"Policies mask, filter or hide something of {one.label} for you, and the change"
                " feed would show it.",
                hint="Query the table at each of the two snapshots: queries keep to the policies.",
            )
