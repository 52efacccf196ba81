"""Locks that PostgreSQL holds for one process and lets go of however that process ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg

from catalog.writer.process import database


@contextmanager
def held_alone(row_id: UUID) -> Iterator[bool]:
    """Hold the lock of a row on a connection of its own; yield whether it was free."""
    key = int.from_bytes(row_id.bytes[:8], signed=True)
    with psycopg.connect(**database(), autocommit=True) as session:
        found = session.execute("SELECT pg_try_advisory_lock(%s)", [key]).fetchone()
        yield bool(found and found[0])
