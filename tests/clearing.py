"""Clears the database after tests that commit: what they wrote, not a hundred empty tables.

Django truncates every table after each of them, which costs PostgreSQL a quarter of a second, and
makes content types and permissions anew. Here the few tables that hold rows are emptied.
"""

from __future__ import annotations

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.test import TransactionTestCase

from accounts.oauth import ensure_command_line_client

CONSTANT = frozenset({"auth_permission", "django_content_type"})
"""What a migration wrote and nothing else writes."""
LEDGER = ("audit_auditrecord", "audit_ledgercheckpoint", "audit_ledgerlink")
"""Rows of these are guarded against deletion, whoever deletes them."""


def clear_what_tests_commit() -> None:
    """Have every test that commits end by `clear`, for the rest of the run."""
    TransactionTestCase._fixture_teardown = clear  # type: ignore[attr-defined]


def clear(case: TransactionTestCase | None = None) -> None:
    """Empty the tables that hold rows, once no transaction writes to any."""
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = sorted(set(names) - CONSTANT)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {', '.join(map(quoted, tables))} IN SHARE ROW EXCLUSIVE MODE")
        written = with_rows(cursor, tables)
        cursor.execute("SET LOCAL session_replication_role = replica")  # in any order
        for table in written:
            if table not in LEDGER:
                cursor.execute(f"DELETE FROM {quoted(table)}")
        if not set(LEDGER).isdisjoint(written):
            cursor.execute(f"TRUNCATE {', '.join(map(quoted, LEDGER))}")
    ensure_command_line_client()


def with_rows(cursor: CursorWrapper, tables: list[str]) -> list[str]:
    """Return the tables that are not empty."""
    each = (f"SELECT '{name}' WHERE EXISTS (SELECT FROM {quoted(name)})" for name in tables)
    cursor.execute(" UNION ALL ".join(each))
    return [name for (name,) in cursor.fetchall()]


def quoted(name: str) -> str:
    """Return a table's name as SQL has it."""
    return connection.ops.quote_name(name)
