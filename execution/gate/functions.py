"""The functions that a query may call: a checked-in list, never the engine's own catalogue."""

from __future__ import annotations

import difflib
import functools
from fnmatch import fnmatchcase
from pathlib import Path

TABLE_FUNCTIONS = frozenset(
    {"generate_series", "json_each", "json_tree", "range", "repeat", "unnest"}
)
"""The functions that may stand in FROM: they make rows of their arguments and read nothing."""

_HERE = Path(__file__).parent


@functools.cache
def allowed() -> frozenset[str]:
    """Return every function that the gate lets through."""
    return frozenset(_words("functions.txt"))


@functools.cache
def refused_patterns() -> tuple[str, ...]:
    """Return the shell patterns of functions that are refused on purpose."""
    return tuple(_words("refused_functions.txt"))


def is_refused(name: str) -> bool:
    """Tell whether `name` is refused on purpose, rather than unknown."""
    return any(fnmatchcase(name, pattern) for pattern in refused_patterns())


def suggestions(name: str) -> list[str]:
    """Return the allowed functions that `name` may have been meant to be."""
    return difflib.get_close_matches(name, sorted(allowed()), n=3, cutoff=0.75)


def _words(file: str) -> list[str]:
    lines = (_HERE / file).read_text(encoding="utf-8").splitlines()
    return [word for line in lines if not line.startswith("# ") for word in line.split()]
