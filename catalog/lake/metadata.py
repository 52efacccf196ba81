"""Runs SQL over one lake's metadata tables, with every name quoted and the lake's state checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from string import Formatter
from typing import Any, LiteralString

import psycopg.errors
from django.db import ProgrammingError, connection
from psycopg import sql

from accounts import statements
from catalog.models import Catalog
from problems import Problem

Row = tuple[Any, ...]

LIVE = sql.SQL("begin_snapshot <= %(snapshot)s AND coalesce(end_snapshot > %(snapshot)s, true)")
"""What was there at a snapshot. `{live}` in a query's text; qualify it with `live_as`."""


class CatalogNotReady(Problem):
    """The lake's metadata tables are not there (yet, or any more)."""

    code = "catalog-not-ready"
    status = 409
    title = "The catalog is not ready"


def live_as(alias: LiteralString) -> sql.Composed:
    """Return the condition that rows of `alias` were live at `%(snapshot)s`."""
    name = sql.Identifier(alias)
    text = sql.SQL(
        "({0}.begin_snapshot <= %(snapshot)s"
        " AND ({0}.end_snapshot IS NULL OR {0}.end_snapshot > %(snapshot)s))"
    )
    return text.format(name)


def relation(schema: str, name: str) -> sql.Identifier:
    """Return the quoted, qualified name of one metadata table."""
    return sql.Identifier(schema, name)


def compose(schema: str, text: LiteralString, **parts: sql.Composable) -> sql.Composed:
    """Return `text` with each `{ducklake_…}` qualified by the lake's schema and `parts` put in."""
    known: dict[str, sql.Composable] = {"live": LIVE} | parts
    for _, field, _, _ in Formatter().parse(text):
        if field and field not in known:
            known[field] = relation(schema, field)
    return sql.SQL(text).format(**known)


def rows(
    catalog: Catalog,
    text: LiteralString | sql.Composable,
    parameters: Mapping[str, Any] | None = None,
    **parts: sql.Composable,
) -> list[Row]:
    """Run one query over the lake's metadata and return its rows; `text` may be composed already.

    Raises `CatalogNotReady` where the lake has no metadata tables.
    """
    with _refusing(catalog), connection.cursor() as cursor:
        cursor.execute(_composed(catalog, text, parts), parameters or {})
        found: list[Row] = cursor.fetchall()
        return found


def rows_by_plan(catalog: Catalog, text: LiteralString, parameters: Mapping[str, Any]) -> list[Row]:
    """Return the same by a statement that each connection plans once: for what all requests ask."""
    with _refusing(catalog):
        return statements.rows(_composed_once(catalog.metadata_schema, text), parameters)


@contextmanager
def _refusing(catalog: Catalog) -> Iterator[None]:
    """Raise `CatalogNotReady` where a table is not there."""
    try:
        yield
    except ProgrammingError as error:
        if isinstance(error.__cause__, psycopg.errors.UndefinedTable):
            raise not_ready(catalog) from error
        raise


def _composed(
    catalog: Catalog, text: LiteralString | sql.Composable, parts: Mapping[str, sql.Composable]
) -> sql.Composable:
    if isinstance(text, sql.Composable):
        return text
    if parts:
        return compose(catalog.metadata_schema, text, **parts)
    return _composed_once(catalog.metadata_schema, text)


@lru_cache(maxsize=1024)
def _composed_once(schema: str, text: LiteralString) -> sql.Composable:
    return flat(compose(schema, text))


def flat(composed: sql.Composed) -> sql.Composable:
    """Return the same text as one piece: putting pieces together costs more than most answers."""
    return sql.SQL(composed.as_string(None))


def existing(catalog: Catalog, names: list[str]) -> frozenset[str]:
    """Return which of the named metadata tables exist."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relname = ANY(%s)",
            [catalog.metadata_schema, names],
        )
        return frozenset(name for (name,) in cursor.fetchall())


def ready(metadata_schemas: list[str]) -> frozenset[str]:
    """Return which of these metadata schemas hold a lake."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = ANY(%s) AND c.relname = 'ducklake_snapshot'",
            [metadata_schemas],
        )
        return frozenset(name for (name,) in cursor.fetchall())


def not_ready(catalog: Catalog) -> CatalogNotReady:
    """Return the refusal for a lake without metadata tables."""
    return CatalogNotReady(
        f"Catalog {catalog.name} has no tables to read: it is still being created, or its"
        " creation failed.",
        hint="Look at the catalog's jobs; the first one, “initialize”, says what happened.",
    )


def is_encrypted(catalog: Catalog) -> bool:
    """Tell whether the lake's files are written encrypted, as its own metadata says."""
    found = rows(
        catalog,
        "SELECT value = 'true' FROM {ducklake_metadata}"
        " WHERE key = 'encrypted' AND coalesce(scope, '') = ''",
    )
    return any(value for (value,) in found)
