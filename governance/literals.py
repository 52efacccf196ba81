"""Writes plain values and names as SQL that means exactly them, whatever characters they have."""

from __future__ import annotations


def name(identifier: str) -> str:
    """Return `identifier` as a quoted SQL name."""
    return '"' + identifier.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return `value` as a VARCHAR expression.

    A NUL would end the text for some readers of SQL, so it is written as a call.
    """
    parts = ["'" + part.replace("'", "''") + "'" for part in value.split("\0")]
    return parts[0] if len(parts) == 1 else "(" + " || chr(0) || ".join(parts) + ")"
