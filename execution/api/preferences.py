"""`Prefer: wait=N` (RFC 7240): the answer may take its time if it is then the last word."""

from __future__ import annotations

import socket

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from api.waiting import LONGEST_SECONDS, preferred_seconds
from execution import waiting
from execution.models import Query

PREFER = OpenApiParameter(
    "Prefer",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description=(
        "`wait=N` (RFC 7240): answer as soon as the query has ended, after N seconds at the "
        f"latest; {LONGEST_SECONDS} at most. `Preference-Applied` in the answer says "
        "that it waited. A server that is busy answers at once."
    ),
)


def wait_if_preferred(request: Request, query: Query) -> dict[str, str]:
    """Wait for the end of `query` as the request prefers; return the answer's headers.

    The row may have changed when this returns: read it again.
    """
    headers = {"Vary": "Prefer"}
    seconds = preferred_seconds(request)
    if seconds and waiting.wait_for_end(query.id, seconds=seconds, peer=peer_of(request)):
        headers["Preference-Applied"] = f"wait={seconds}"
    return headers


def peer_of(request: Request) -> socket.socket | None:
    """Return the connection that the request came by, where the server shows it (gunicorn)."""
    peer = request.META.get("gunicorn.socket")
    return peer if isinstance(peer, socket.socket) else None
