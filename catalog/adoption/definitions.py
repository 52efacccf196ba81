"""Whether a stored SELECT may ever run: asked of the gate, which belongs to the room above."""

from __future__ import annotations

from collections.abc import Callable

_registered: list[Callable[[str], bool]] = []
CATALOG = "{DUCKLAKE_CATALOG}"
"""What DuckLake writes in the text of a view where the lake's own name stood."""


def register(gate: Callable[[str], bool]) -> None:
    """Ask `gate`, which tells whether a query may be so, from now on."""
    _registered[:] = [gate]


def is_safe(text: str) -> bool:
    """Tell whether the gate lets the SELECT of a view pass."""
    return _registered[0](text.replace(CATALOG, "lake"))
