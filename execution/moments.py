"""Which snapshot `AT (…)` gives one table of a query, read from constants alone.

Nothing that would have to be computed is taken: the snapshot is part of what is decided, and what
is decided must be known before an engine sees the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

NUMBERS = frozenset({"INTEGER", "BIGINT"})
TIMES = frozenset({"DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"})
TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?(Z|[+-][0-9]{2}(:[0-9]{2})?)?)?"
)
HINT = "Write AT (VERSION => 12) or AT (TIMESTAMP => '2026-01-31 12:00'), with constants."

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Moment:
    """A snapshot by its number, or the newest one until a time."""

    version: int | None = None
    time: datetime | None = None

    @property
    def text(self) -> str:
        """Return it in words, as part of a sentence."""
        if self.time is None:
            return f"at snapshot {self.version}"
        return f"as of {self.time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True, slots=True)
class Placed:
    """A moment with the byte of the text where its constant begins."""

    moment: Moment
    location: int


def read(clause: Json) -> Placed | None:
    """Return what an AT clause of the syntax tree says; None where it is no plain constant."""
    value, cast = clause["expr"], ""
    if value["class"] == "CAST" and not value["try_cast"]:
        value, cast = value["child"], value["cast_type"]["id"]
    if value["class"] != "CONSTANT" or value["value"]["is_null"]:
        return None
    constant, kind = value["value"]["value"], value["value"]["type"]["id"]
    moment = None
    if clause["unit"] == "VERSION" and kind in NUMBERS and not cast and constant >= 0:
        moment = Moment(version=constant)
    if clause["unit"] == "TIMESTAMP" and kind == "VARCHAR" and cast in {"", *TIMES}:
        moment = _time(constant, cast)
    return Placed(moment, value["query_location"]) if moment else None


def _time(text: str, cast: str) -> Moment | None:
    """Return a time as DuckDB reads it: in UTC where it names no other zone."""
    found = TIME.fullmatch(text)
    if not found or (cast == "DATE" and found[1]):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return Moment(time=time if time.tzinfo else time.replace(tzinfo=UTC))
