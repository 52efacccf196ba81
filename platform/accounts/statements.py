"""Models read and written by statements that are spelled once, for what every request asks.

Django makes the text of a query anew each time, and PostgreSQL a plan, which costs more than
running one that finds a row by its key.
"""

# ruff: noqa: SLF001 - `_meta` is how Django documents what a model has

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.models.base import ModelState
from psycopg.sql import Composable

M = TypeVar("M", bound=models.Model)
PLAIN = (models.BooleanField, models.CharField, models.TextField, models.UUIDField)
"""Fields that have nothing to convert in an object whose values are of their own types."""


class _Prepared(psycopg.Cursor[Any]):
    def execute(self, query: Any, params: Any = None, **_: Any) -> _Prepared:
        super().execute(query, params, prepare=True)
        return self


def rows(
    text: str | Composable, parameters: Sequence[Any] | Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    """Return the rows of a statement that each connection plans once, and keeps the plan of.

    Its text must be one of a few: what differs goes into `parameters`, by a cursor of psycopg's
    own, since Django's would put it into the text. It names its columns, because a kept plan fails
    where a `*` comes to mean something else. Where the database is behind a pooler that cannot keep
    statements (`UPEND_DATABASE_PREPARE=0`), it is a statement like any other.
    """
    link: Any = connections[DEFAULT_DB_ALIAS]
    link.close_if_health_check_failed()
    link.ensure_connection()
    make = link.make_debug_cursor if link.queries_logged else link.make_cursor
    with link.wrap_database_errors, make(_Prepared(link.connection)) as cursor:
        cursor.execute(text, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


@cache
def columns(model: type[models.Model], alias: str) -> str:
    """Return all columns of a table, in the order in which `made` takes them."""
    return ", ".join(f'{alias}."{field.column}"' for field in model._meta.concrete_fields)


@cache
def width(model: type[models.Model]) -> int:
    """Return how many columns those are."""
    return len(model._meta.concrete_fields)


def made(model: type[M], cells: Sequence[Any]) -> M:
    """Return the object of one row, as `Model.from_db` makes it where nobody listens to that."""
    values, link = list(cells), connections[DEFAULT_DB_ALIAS]
    for at, convert in _converters(model):
        values[at] = convert(values[at], None, link)
    found = model.__new__(model)
    found.__dict__.update(zip(_names(model), values, strict=True))
    found._state = ModelState()
    found._state.adding, found._state.db = False, DEFAULT_DB_ALIAS
    return found


def split(row: Sequence[Any], *of: type[models.Model]) -> list[Any]:
    """Return the objects of a row that several tables were joined to; None where one had none."""
    found: list[Any] = []
    at = 0
    for model in of:
        cells = row[at : at + width(model)]
        at += width(model)
        found.append(made(model, cells) if any(cell is not None for cell in cells) else None)
    return found


@cache
def insertion(model: type[models.Model]) -> str:
    """Return the statement that inserts one row and returns the key that the database gave it."""
    given = ", ".join(f'"{field.column}"' for field in _given(model))
    values = ", ".join("%s" for _ in _given(model))
    table, key = model._meta.db_table, model._meta.pk.column
    return f'INSERT INTO "{table}" ({given}) VALUES ({values}) RETURNING "{key}"'  # noqa: S608 - our own names


@cache
def insertion_from(model: type[models.Model], source: str, column: str, value: str) -> str:
    """Return the statement that inserts one row for each row of `source`.

    It is given what `insertion` is; `value` says what becomes of the one parameter of `column`.
    """
    given = ", ".join(f'"{field.column}"' for field in _given(model))
    values = ", ".join(value if field.column == column else "%s" for field in _given(model))
    return f'INSERT INTO "{model._meta.db_table}" ({given}) SELECT {values} FROM {source}'  # noqa: S608 - our own names


def values(instance: models.Model) -> list[Any]:
    """Return what `insertion` is given for an object."""
    link = connections[DEFAULT_DB_ALIAS]
    return [
        getattr(instance, field.attname)
        if is_plain
        else field.get_db_prep_save(field.pre_save(instance, add=True), link)
        for field, is_plain in _given_as(type(instance))
    ]


def insert(instance: M) -> M:
    """Insert an object and return it with its key, whether the database made that or the model.

    What the database computes of other columns is not read back.
    """
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(insertion(type(instance)), values(instance))
        [(key,)] = cursor.fetchall()
    return inserted(instance, key)


def inserted(instance: M, key: object) -> M:
    """Return an object that a statement inserted, with the key that it got."""
    instance.pk = key
    instance._state.adding, instance._state.db = False, DEFAULT_DB_ALIAS
    return instance


@cache
def _given_as(model: type[models.Model]) -> tuple[tuple[models.Field[Any, Any], bool], ...]:
    """Return the same with whether what an object has is what the database takes, as it is."""
    return tuple((field, type(field) in PLAIN) for field in _given(model))


@cache
def _given(model: type[models.Model]) -> tuple[models.Field[Any, Any], ...]:
    return tuple(field for field in model._meta.concrete_fields if not _is_made(field))


def _is_made(field: models.Field[Any, Any]) -> bool:
    """Tell whether the database makes a column's value."""
    return field.generated or (field.primary_key and not field.has_default())


@cache
def _names(model: type[models.Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


@cache
def _converters(model: type[models.Model]) -> tuple[tuple[int, Any], ...]:
    fields = enumerate(model._meta.concrete_fields)
    return tuple((n, f.from_db_value) for n, f in fields if hasattr(f, "from_db_value"))
