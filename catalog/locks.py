"""Locks that PostgreSQL holds for one process and lets go of however that process ends."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg
from django.db import connection

from catalog.models import Bucket
from catalog.writer.process import database


def alone_in_bucket(bucket: Bucket) -> None:
    """Wait until nobody else decides which prefixes of the bucket are whose, and keep them out.

    Until the end of the caller's transaction. A bucket that several workspaces connected is one.
    """
    place = f"{bucket.endpoint}\n{bucket.bucket_name}".encode()
    key = int.from_bytes(hashlib.sha256(place).digest()[:8], signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])


@contextmanager
def held_alone(row_id: UUID) -> Iterator[bool]:
    """Hold the lock of a row on a connection of its own; yield whether it was free."""
    key = int.from_bytes(row_id.bytes[:8], signed=True)
    with psycopg.connect(**database(), autocommit=True) as session:
        found = session.execute("SELECT pg_try_advisory_lock(%s)", [key]).fetchone()
        yield bool(found and found[0])
