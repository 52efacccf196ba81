"""Reads DuckDB's EXPLAIN: what each scan reads, and which operators hold rows in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

SCAN = "DUCKLAKE_SCAN"
BLOCKING = frozenset(
    {"HASH_GROUP_BY", "ORDER_BY", "PERFECT_HASH_GROUP_BY", "WINDOW", "STREAMING_WINDOW"}
)
Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RawScan:
    """One scan as EXPLAIN prints it: hidden names, filter lines."""

    table: str
    projections: tuple[str, ...]
    filters: tuple[str, ...]
    cardinality: int


@dataclass(frozen=True, slots=True)
class RawPlan:
    """What of a plan matters for its cost. `held_rows` are rows kept by blocking operators."""

    scans: tuple[RawScan, ...]
    joins: int
    held_rows: int


def read(plan: list[Node]) -> RawPlan:
    """Read the JSON of `EXPLAIN (FORMAT json)`."""
    nodes = [node for root in plan for node in _walk(root)]
    joins = [node for node in nodes if "JOIN" in node["name"]]
    held = [node for node in nodes if node["name"] in BLOCKING]
    built = [join["children"][-1] for join in joins if join["children"]]
    return RawPlan(
        scans=tuple(_scan(node) for node in nodes if node["name"] == SCAN),
        joins=len(joins),
        held_rows=sum(_cardinality(node) for node in [*held, *built]),
    )


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node["children"]:
        yield from _walk(child)


def _scan(node: Node) -> RawScan:
    info = node["extra_info"]
    return RawScan(
        table=str(info["Table"]),
        projections=_lines(info.get("Projections")),
        filters=_lines(info.get("Filters")),
        cardinality=_cardinality(node),
    )


def _lines(value: str | list[str] | None) -> tuple[str, ...]:
    """Return what EXPLAIN prints as one text or, where it has line breaks, as a list."""
    if isinstance(value, list):
        return tuple(value)
    return (value,) if value else ()


def _cardinality(node: Node) -> int:
    """Return the engine's estimate; a node without one is as big as its biggest child."""
    text = str(node["extra_info"].get("Estimated Cardinality", ""))
    if text.isdigit():
        return int(text)
    return max((_cardinality(child) for child in node["children"]), default=0)
