"""The functions that a query may call: a checked-in list, never the engine's own catalogue."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

TABLE_FUNCTIONS = frozenset(
    {"generate_series", "json_each", "json_tree", "range", "repeat", "unnest"}
)
"""The functions that may stand in FROM: they make rows of their arguments and read nothing."""

CHANGING = frozenset(
    """
    age ago current_date current_localtime current_localtimestamp current_time current_timestamp
    gen_random_uuid get_current_time get_current_timestamp localtime localtimestamp now random
    today transaction_timestamp uuid uuidv4 uuidv7
    """.split()  # noqa: SIM905 - a list of words reads best as one
)
"""What may answer otherwise over the same rows: it reads the clock, or draws lots.

`age` and `ago` reach for the present when they are given one argument. A test compares the list
with what the engine says of each function, and with how the engine names its clocks.
"""

SAMPLING = frozenset({"reservoir_quantile"})
"""Aggregates that look at some rows by chance."""

BY_NAME = frozenset({"aggregate", "array_aggr", "array_aggregate", "list_aggr", "list_aggregate"})
"""What takes the name of an aggregate as a value: it could be any of `SAMPLING`."""

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


def is_repeatable(names: Iterable[str]) -> bool:
    """Tell whether functions of these names give the same answer over the same rows, always."""
    known = allowed() - CHANGING - SAMPLING - BY_NAME
    return all(name in known for name in names)


def suggestions(name: str) -> list[str]:
    """Return the allowed functions that `name` may have been meant to be."""
    return difflib.get_close_matches(name, sorted(allowed()), n=3, cutoff=0.75)


def _words(file: str) -> list[str]:
    lines = (_HERE / file).read_text(encoding="utf-8").splitlines()
    return [word for line in lines if not line.startswith("# ") for word in line.split()]
