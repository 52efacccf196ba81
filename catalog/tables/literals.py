"""Constants that people give as defaults: checked to be of the column's type, then quoted."""

from __future__ import annotations

import duckdb

from catalog.tables.layout import InvalidChange
from catalog.tables.types import DECIMAL, SCALARS
from catalog.writer.quoting import quoted_text

MAX_TEXT = 1000


def default_text(given: object, kind: str) -> str:
    """Return a default, JSON's or text, as text of the canonical type `kind`.

    Raises `InvalidChange` where it is no constant of that type.
    """
    if kind not in SCALARS and not DECIMAL.fullmatch(kind):
        raise InvalidChange(f"A column of type {kind} cannot have a default.")
    text = str(given).lower() if isinstance(given, bool) else str(given)
    if not isinstance(given, str | int | float) or len(text) > MAX_TEXT:
        raise InvalidChange(f"A default is a text or a number of up to {MAX_TEXT:,} characters.")
    if not _fits(text, kind):
        raise InvalidChange(
            f"{text[:80]!r} is no {kind}.", hint="Give a constant of the column's type."
        )
    return text


def literal(text: str) -> str:
    """Return a default's text as SQL has it; the engine casts it to the column's type."""
    return quoted_text(text)


def _fits(text: str, kind: str) -> bool:
    """Ask the engine's own cast, on a connection that can reach nothing."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": "false",
        "autoload_known_extensions": "false",
        "threads": 1,
        "memory_limit": "64MB",
    }
    with duckdb.connect(":memory:", config=config) as con:
        con.execute("SET lock_configuration=true")
        query = f"SELECT TRY_CAST(?::VARCHAR AS {kind}) IS NOT NULL"
        found = con.execute(query, [text]).fetchone()
    return bool(found and found[0])
