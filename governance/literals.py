"""Writes plain values and names as SQL that means exactly them, whatever characters they have."""

from __future__ import annotations

from collections.abc import Sequence

Plain = str | int | float | bool
"""What a policy or an attribute of a principal may hold."""


def name(identifier: str) -> str:
    """Return `identifier` as a quoted SQL name."""
    return '"' + identifier.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return `value` as a VARCHAR expression.

    A NUL would end the text for some readers of SQL, so it is written as a call.
    """
    parts = ["'" + part.replace("'", "''") + "'" for part in value.split("\0")]
    return parts[0] if len(parts) == 1 else "(" + " || chr(0) || ".join(parts) + ")"


def literal(value: Plain | Sequence[Plain]) -> str:
    """Return a plain value, or a list of them, as an SQL expression.

    Raises `ValueError` on text that is not Unicode (a lone surrogate) and on other types.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"({value})"
    if isinstance(value, float):
        return f"CAST('{value!r}' AS DOUBLE)"
    if isinstance(value, str):
        value.encode()
        return text(value)
    if isinstance(value, Sequence):
        return f"[{', '.join(map(literal, value))}]" if value else "CAST([] AS VARCHAR[])"
    message = f"{type(value).__name__} cannot be written as SQL"
    raise ValueError(message)
