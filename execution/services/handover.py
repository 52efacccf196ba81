"""A local run that outgrew its machine goes on at the server; the two rows name each other."""

from __future__ import annotations

from uuid import UUID

from accounts.domain import Actor
from execution.domain import Place, QueryState
from execution.models import Query
from problems import Invalid
from workspaces.models import Workspace

OUT_OF_MEMORY = "local-memory"
"""The reason in the receipt of a run that outgrew its machine."""


class NotHandedOver(Invalid):
    """The query that should be continued is not one that outgrew its device."""

    code = "not-handed-over"
    title = "There is nothing to take over"


def check(actor: Actor, workspace: Workspace, query_id: UUID, *, sql: str, place: Place) -> None:
    """Make sure that the actor's own local run of `sql` ended for want of memory.

    Raises `NotHandedOver`.
    """
    own = Query.objects.filter(id=query_id, workspace=workspace, user_id=actor.id, sql=sql)
    earlier = own.filter(place=Place.LOCAL, state=QueryState.FAILED).first()
    reason = (earlier.problem or {}).get("reason") if earlier else None
    if reason != OUT_OF_MEMORY or place is not Place.SERVER:
        raise NotHandedOver(
            "Only the server takes over, and only a run of the same text by the same person whose "
            "device reported that its memory did not suffice.",
            hint="Send the receipt of the local run first, then the query with place `server`.",
        )


def recorded(query: Query) -> dict[str, str]:
    """Return what the ledger says of where a query came from."""
    if query.handed_over_from_id is None:
        return {}
    return {"handed_over_from": str(query.handed_over_from_id)}
