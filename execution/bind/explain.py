"""Reads DuckDB's EXPLAIN: what each scan reads, and the operators that hold rows in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

SCAN = "DUCKLAKE_SCAN"
DETAILS = (
    "Aggregates",
    "CTE Index",
    "Groups",
    "Join Type",
    "Order By",
    "Projections",
    "Table Index",
    "Top",
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
class Operator:
    """One operator of the physical plan: the engine's name for it, its rows, its details.

    `table` is the hidden name of what a scan reads, else empty. For operators without an estimate
    of their own, `rows` are those of their biggest child.
    """

    name: str
    rows: int
    details: dict[str, tuple[str, ...]]
    table: str
    children: tuple[Operator, ...]

    def detail(self, name: str) -> tuple[str, ...]:
        """Return the lines of one detail, such as `Groups`; none where there is none."""
        return self.details.get(name, ())


@dataclass(frozen=True, slots=True)
class RawPlan:
    """What of a plan matters for its cost."""

    scans: tuple[RawScan, ...]
    joins: int
    roots: tuple[Operator, ...]


def read(plan: list[Node]) -> RawPlan:
    """Read the JSON of `EXPLAIN (FORMAT json)`."""
    nodes = [node for root in plan for node in _walk(root)]
    return RawPlan(
        scans=tuple(_scan(node) for node in nodes if node["name"] == SCAN),
        joins=sum("JOIN" in node["name"] for node in nodes),
        roots=tuple(_operator(root) for root in plan),
    )


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node["children"]:
        yield from _walk(child)


def _operator(node: Node) -> Operator:
    info = node["extra_info"]
    return Operator(
        name=str(node["name"]),
        rows=_cardinality(node),
        details={name: _lines(info[name]) for name in DETAILS if name in info},
        table=str(info["Table"]) if node["name"] == SCAN else "",
        children=tuple(_operator(child) for child in node["children"]),
    )


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
