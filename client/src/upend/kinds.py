"""DuckDB's types as a tree, for the few that cannot leave the engine as they are."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
from duckdb.sqltypes import DuckDBPyType

from upend import engines

NESTED = frozenset({"array", "list", "map", "struct"})


def parse(types: Sequence[str]) -> list[DuckDBPyType | None]:
    """Return the types that DuckDB understands by these spellings.

    None stands for what it writes but does not read back: `NULL` and structs without names, which
    Arrow happens to carry unchanged.
    """
    with engines.connection("kinds") as con:
        return [_parse(con, text) for text in types]


def _parse(con: duckdb.DuckDBPyConnection, text: str) -> DuckDBPyType | None:
    try:
        description = con.execute(f"SELECT CAST(NULL AS {text})").description or []
    except (duckdb.ParserException, duckdb.CatalogException):
        return None
    found: DuckDBPyType = description[0][1]
    return found


def children(kind: DuckDBPyType) -> list[tuple[str, DuckDBPyType]]:
    """Return the members of a nested type, none of any other."""
    if kind.id not in NESTED | {"union"}:
        return []
    return [(name, child) for name, child in kind.children if isinstance(child, DuckDBPyType)]


def holds(kind: DuckDBPyType, name: str) -> bool:
    """Tell whether `kind` is of the type `name`, or has a member that is, at any depth."""
    return kind.id == name or any(holds(child, name) for _, child in children(kind))


def travels_as_text(kind: DuckDBPyType) -> bool:
    """Tell whether values reach Python as text, wherever the query ran: Arrow has no VARIANT."""
    return holds(kind, "variant")
