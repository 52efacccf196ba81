"""Holds a request until its query has ended, without a database connection."""

from __future__ import annotations

import select
import socket
import time
from uuid import UUID

from django.db import connection

from api.waiting import LONGEST_SECONDS, place_to_wait, release_connection
from execution.domain import QueryState
from execution.notices.hub import Follower, hub


def wait_for_end(query_id: UUID, *, seconds: float, peer: socket.socket | None = None) -> bool:
    """Return once the query has ended, `seconds` are over or `peer` hung up.

    One that is being prepared for a device is waited for until that device may begin. False
    where nothing was waited for, because too many wait already.
    """
    until = time.monotonic() + min(seconds, LONGEST_SECONDS)
    with place_to_wait() as has_room:
        if not has_room:
            return False
        with hub().follow(query_id) as follower:
            began = state = _state(query_id)
            while not _is_settled(state, began) and (left := until - time.monotonic()) > 0:
                if has_hung_up(peer) or _rest_until_settled(follower, left, began):
                    break
                state = _state(query_id)
    return True


def _is_settled(state: QueryState | None, began: QueryState | None) -> bool:
    """Tell whether there is nothing more to wait for, for who began to wait in that state."""
    if state is None or state.is_final:
        return True
    return began is QueryState.PREPARING and state is QueryState.DELEGATED


def _state(query_id: UUID) -> QueryState | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT state FROM execution_query WHERE id = %s", [query_id])
        return next((QueryState(state) for (state,) in cursor.fetchall()), None)


def rest(follower: Follower, seconds: float) -> bool:
    """Wait for news without holding a database connection; tell whether some came."""
    release_connection()
    return follower.wait(seconds)


def _rest_until_settled(follower: Follower, seconds: float, began: QueryState | None) -> bool:
    """Wait as `rest` does, but sleep on where the news is only that the query goes on.

    True where a notice says that it has ended: notices of an end are sent after its commit, so
    that the row needs no look. Without one it does, because notices get lost.
    """
    until = time.monotonic() + seconds
    while rest(follower, until - time.monotonic()):
        news = follower.latest
        if news is None or _is_settled(news.state, began):
            return news is not None
    return False


def has_hung_up(peer: socket.socket | None) -> bool:
    """Tell whether the other end closed the connection; nothing is taken from it."""
    if peer is None:
        return False
    try:
        readable, _, _ = select.select([peer], [], [], 0)
        return bool(readable) and not peer.recv(1, socket.MSG_PEEK)
    except (OSError, ValueError):  # closed, or not a plain socket: then nobody can tell
        return peer.fileno() < 0
