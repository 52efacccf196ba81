"""Tells whether what a policy makes of a table is the same whenever it is asked."""

from __future__ import annotations

from typing import Any

from execution import gate
from governance.masks import HMAC


def is_repeatable(view: dict[str, Any]) -> bool:
    """Tell whether what a policy put before a table shows the same whenever it is asked."""
    expressions = [text for _, text in view["columns"] if text is not None]
    expressions += [view["row_filter"]] if view.get("row_filter") else []
    return all(map(_gives_the_same, expressions))


def _gives_the_same(expression: str) -> bool:
    try:
        checked = gate.check(f"SELECT {expression}", also=frozenset({HMAC}))
    except gate.SqlRefused:
        return False
    return checked.is_repeatable and not checked.tables
