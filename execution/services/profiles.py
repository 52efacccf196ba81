"""Profiles tables: an ordinary, governed query whose answer is kept like any other."""

from __future__ import annotations

from accounts.domain import Actor
from audit import services as audit
from audit.domain import Event
from catalog.models import Catalog
from catalog.selectors import (
    UnknownColumn,
    as_shown_to,
    did_you_mean,
    find_table,
    snapshot_of,
)
from execution import profiles
from execution.domain import RequestedPlace
from execution.services.submit import Submission, submit_query
from governance import securables


@audit.service
def profile_table(
    *,
    actor: Actor,
    catalog: Catalog,
    schema: str,
    table: str,
    column: str = "",
    snapshot_id: int | None = None,
) -> Submission:
    """Submit the query that profiles a table, or one column of it, on the server.

    Equal rights at an equal snapshot share its answer. Raises `UnknownTable`, `UnknownColumn`,
    `UnknownSnapshot`, and what submitting a query refuses.
    """
    snapshot = snapshot_of(catalog, snapshot_id).snapshot_id
    found = find_table(actor, catalog, snapshot, schema, table)
    (seen,) = as_shown_to(actor, catalog, [found])
    sql = profiles.table_profile(seen)
    if column:
        known = {one.name.lower(): one for one in seen.top_columns}
        if column.lower() not in known:
            raise UnknownColumn(
                f"{seen.label} has no column {column[:80]!r}.",
                hint=did_you_mean(column, [one.name for one in seen.top_columns]),
            )
        sql = profiles.column_profile(seen, known[column.lower()])
    audit.record(
        actor=actor,
        event=Event.TABLE_PROFILED,
        target=securables.target(found.securable(catalog.securable)),
        after={"column": column, "snapshot_id": snapshot},
    )
    return submit_query(
        actor=actor,
        workspace=catalog.workspace,
        sql=sql,
        requested=RequestedPlace.SERVER,
        snapshots=None if snapshot_id is None else {catalog.name: snapshot},
    )
