"""What Django loads as the backend: its own, but for how a pool tells which connections are gone.

Django has a pool ask each connection a question before it is lent, which is a round trip for every
request. A connection that its server or an operator ended has something to read: the end.
"""

from __future__ import annotations

import select
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg_pool import ConnectionPool


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection of Django's."""

    @property
    def pool(self) -> Any:
        """Return the pool of this process, None where each thread keeps a connection."""
        pool: Any = super().pool
        if pool is not None and pool._check is ConnectionPool.check_connection:  # noqa: SLF001
            pool._check = check  # noqa: SLF001 - Django hands over its own and takes no other
        return pool


def check(link: psycopg.Connection[Any]) -> None:
    """Raise `psycopg.Error` where a connection is gone; ask it only where there is a sign of that.

    Nothing is to be read from one that is well: nobody listens on it, and every answer was read.
    """
    heard = select.poll()
    heard.register(link.fileno(), select.POLLIN | select.POLLPRI)
    if heard.poll(0):
        ConnectionPool.check_connection(link)
