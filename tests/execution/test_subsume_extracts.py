"""A wider extract serves a narrower query, and never one that would miss a row or a column."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from catalog.domain import ColumnFilter
from catalog.lake.types import Comparison
from execution.extracts.content import Needed, common, covers, sql_of
from execution.extracts.domain import Content
from tests.execution.tables import table

KINDS = {"a": Comparison.NUMERIC, "b": Comparison.NUMERIC, "s": Comparison.TEXT}
VALUES = [None, -2, 0, 1, 9, 10]
numbers = some.sampled_from(["-2", "-0.5", "0", "1", "9", "9.0", "10"])
filters = some.one_of(
    some.builds(
        lambda column, operator, value: ColumnFilter(column, operator, (value,)),
        some.sampled_from("ab"),
        some.sampled_from(["=", "<", "<=", ">", ">="]),
        numbers,
    ),
    some.builds(
        lambda column, values: ColumnFilter(column, "in", tuple(values)),
        some.sampled_from("ab"),
        some.lists(numbers, min_size=1, max_size=3),
    ),
    some.builds(
        lambda column, operator: ColumnFilter(column, operator, ()),
        some.sampled_from("ab"),
        some.sampled_from(["is_null", "is_not_null"]),
    ),
)
conjunctions = some.frozensets(filters, max_size=3)
scans = some.lists(conjunctions, min_size=1, max_size=2).map(tuple)
columns = some.frozensets(some.sampled_from("abs"), min_size=1)


def matches(row: dict[str, int | None], item: ColumnFilter) -> bool:
    value = row[item.column]
    if item.operator in {"is_null", "is_not_null"}:
        return (value is None) == (item.operator == "is_null")
    if value is None:
        return False
    constants = [float(text) for text in item.values]
    return {
        "=": value in constants,
        "in": value in constants,
        "<": value < constants[0],
        "<=": value <= constants[0],
        ">": value > constants[0],
        ">=": value >= constants[0],
    }[item.operator]


def rows_of(conjunction: frozenset[ColumnFilter]) -> set[tuple[int | None, int | None]]:
    return {
        (a, b)
        for a in VALUES
        for b in VALUES
        if all(matches({"a": a, "b": b}, item) for item in conjunction)
    }


@given(conjunctions, columns, scans, columns)
def test_it_serves_only_what_it_holds(
    held: frozenset[ColumnFilter],
    held_columns: frozenset[str],
    asked: tuple[frozenset[ColumnFilter], ...],
    asked_columns: frozenset[str],
) -> None:
    if covers(Content(held_columns, held), Needed(asked_columns, asked), KINDS):
        assert asked_columns <= held_columns
        assert all(rows_of(scan) <= rows_of(held) for scan in asked)


@given(scans, columns)
def test_it_serves_the_query_it_was_made_for(
    asked: tuple[frozenset[ColumnFilter], ...], asked_columns: frozenset[str]
) -> None:
    needed = Needed(asked_columns, asked)
    made = Content(asked_columns, common(asked, KINDS))
    assert covers(made, needed, KINDS)
    assert covers(Content(asked_columns), needed, KINDS)


@given(conjunctions, columns)
def test_it_is_the_same_content_when_read_back(
    held: frozenset[ColumnFilter], held_columns: frozenset[str]
) -> None:
    content = Content(held_columns, held)
    assert Content.of(**content.as_json()) == content


def test_it_compares_constants_as_their_type_does_and_not_as_text() -> None:
    def serves(kind: Comparison, held: str, asked: str) -> bool:
        content = Content(frozenset("a"), frozenset({ColumnFilter("a", ">=", (held,))}))
        needed = Needed(frozenset("a"), (frozenset({ColumnFilter("a", ">=", (asked,))}),))
        return covers(content, needed, {"a": kind})

    assert serves(Comparison.NUMERIC, "9", "10")
    assert not serves(Comparison.TEXT, "9", "10")
    assert serves(Comparison.ISO_DATE, "2020-01-01", "2020-02-01")
    assert not serves(Comparison.ISO_DATE, "2020-01-01", "12020-02-01")
    assert not serves(Comparison.ISO_DATE, "2020-01-01", "0044-03-15 (BC)")
    assert serves(Comparison.ISO_TIMESTAMP, "2020-01-01 00:00:00.5", "2020-01-01 00:00:00.50")
    assert serves(Comparison.NONE, "x", "x")
    assert not serves(Comparison.NONE, "x", "y")


def test_it_writes_constants_so_that_no_text_ends_them() -> None:
    found = table("t", {"a": "DECIMAL(12,2)", "s": "VARCHAR", "d": "DATE", 'od"d': "INTEGER"})
    text = sql_of(
        [
            ColumnFilter("s", "=", ("it's",)),
            ColumnFilter("a", "in", ("1.50", "2")),
            ColumnFilter("d", "<", ("2020-01-01",)),
            ColumnFilter('od"d', "is_not_null", ()),
        ],
        found,
    )
    assert text == (
        '"a" IN (1.50, 2) AND "d" < CAST(\'2020-01-01\' AS DATE) AND "od""d" IS NOT NULL'
        " AND \"s\" = CAST('it''s' AS VARCHAR)"
    )
