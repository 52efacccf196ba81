"""What a reader of a source is asked and what it answers, as plain values. No Django here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Columns = tuple[tuple[str, str], ...]
"""Names with the types that the engine gives them."""


class Unreadable(Exception):
    """The source cannot be read; the text says why, for who set the connector up."""


@dataclass(frozen=True, slots=True)
class Range:
    """Which rows: of a table, with a watermark above `after` and up to `upto` or the newest."""

    schema: str = ""
    table: str = ""
    watermark_column: str = ""
    after: str | None = None
    upto: str | None = None


@dataclass(frozen=True, slots=True)
class Orders:
    """What the reading process gets: the source, the range, and where its file goes.

    `source` is what its kind of reader needs, `secrets` what it must never repeat. `only_look`
    asks for the columns alone.
    """

    kind: str
    source: dict[str, Any] = field(repr=False)
    wanted: Range
    path: str
    directory: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    only_look: bool = False

    @classmethod
    def of_dict(cls, given: dict[str, Any]) -> Orders:
        """Read what `asdict` wrote."""
        return cls(
            **given | {"wanted": Range(**given["wanted"]), "secrets": tuple(given["secrets"])}
        )


@dataclass(frozen=True, slots=True)
class Shape:
    """What one of several files has."""

    columns: Columns
    rows: int


@dataclass(frozen=True, slots=True)
class Pulled:
    """What is in the file: `rows` rows, up to the watermark `upto`; or a `problem` in words.

    Of several files, `bad` says why some could not be read, by their place in the order, and
    `left` names those of other columns, which are read by themselves later; `shapes` says what
    the others have, where they were only looked at. `is_same` says that the source is as it was.
    """

    rows: int = 0
    upto: str | None = None
    problem: str = ""
    columns: Columns = ()
    shapes: dict[int, Shape] = field(default_factory=dict)
    bad: dict[int, str] = field(default_factory=dict)
    left: tuple[int, ...] = ()
    is_same: bool = False

    @classmethod
    def of_dict(cls, given: dict[str, Any]) -> Pulled:
        """Read what `asdict` wrote and JSON carried."""
        return cls(
            **given
            | {
                "columns": _columns(given["columns"]),
                "shapes": {
                    int(place): Shape(_columns(one["columns"]), one["rows"])
                    for place, one in given["shapes"].items()
                },
                "bad": {int(place): why for place, why in given["bad"].items()},
                "left": tuple(given["left"]),
            }
        )


def _columns(given: list[list[str]]) -> Columns:
    return tuple((name, kind) for name, kind in given)
