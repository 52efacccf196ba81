"""SQL of a policy with gaps: columns by their keys, so that it follows renames, and principals.

A template is a list: text as it is, `{"column": {"name", "keys"}}`, `{"principal": name}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from governance import literals
from governance.domain import SecurableColumn

Part = str | Mapping[str, Any]


class Unrenderable(ValueError):
    """The SQL cannot be written for this table, or for this principal."""


class ColumnGone(Unrenderable):
    """The table has no column that the SQL names."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no column {name}")
        self.name = name


class ValueMissing(Unrenderable):
    """The principal has no such attribute."""


def render(
    template: Sequence[Part], columns: Sequence[SecurableColumn], values: Mapping[str, str]
) -> str:
    """Return the SQL for one table and one principal, whose values become literals.

    Raises `ColumnGone` or `ValueMissing`.
    """
    return "".join(_shown(part, columns, values) for part in template)


def read(template: Sequence[Part], values: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what a template reads of a principal with these values, by name."""
    names = [
        part["principal"] for part in template if not isinstance(part, str) and "principal" in part
    ]
    return [(name, values[name]) for name in names if name in values]


def find(
    name: str, keys: Sequence[str], columns: Sequence[SecurableColumn]
) -> SecurableColumn | None:
    """Return the column that a policy means: the one of a key, else the one of the name."""
    by_key = next((column for column in columns if column.key in keys), None)
    wanted = name.lower()
    return by_key or next((c for c in columns if c.name.lower() == wanted), None)


def _shown(part: Part, columns: Sequence[SecurableColumn], values: Mapping[str, str]) -> str:
    if isinstance(part, str):
        return part
    if "column" in part:
        named = part["column"]
        column = find(named["name"], named["keys"], columns)
        if column is None:
            raise ColumnGone(named["name"])
        return reference(column)
    if (value := values.get(part["principal"])) is None:
        raise ValueMissing(part["principal"])
    return literals.text(value)


def reference(column: SecurableColumn) -> str:
    """Return SQL for a column. Fields are extracted by function: a dot may name a table."""
    first, *fields = column.path
    found = literals.name(first)
    for name in fields:
        found = f"struct_extract({found}, {literals.text(name)})"
    return found
