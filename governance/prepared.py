"""Runs statements that PostgreSQL keeps planned: at each decision, planning would cost the most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg
from django.db import connection

Row = tuple[Any, ...]


def rows(text: LiteralString, parameters: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a query, which each connection plans once and then keeps.

    For a few texts that are asked all the time and that any value fits: a plan that was kept does
    not look at the values. Where the database is behind a pooler that cannot keep statements
    (`UPEND_DATABASE_PREPARE=0`), it is a query like any other.
    """
    with connection.cursor() as cursor:
        # Django's own cursor puts values into the text, so that no two statements are the same.
        cursor.cursor = psycopg.Cursor(cursor.cursor.connection)
        cursor.execute(text, parameters)
        found: list[Row] = cursor.fetchall()
        return found
