"""The place is an implementation detail: same columns, same types, same rows, everywhere."""

from __future__ import annotations

import pytest

from tests.differential.conftest import Answer, Lab
from tests.differential.queries import FLIGHTS, tpch

QUESTIONS = [(name, "tpch", sql) for name, sql in tpch().items()]
QUESTIONS += [(name, "flights", sql) for name, sql in FLIGHTS.items()]
OLDER = ["tpch-01", "tpch-10", "tpch-06", "one-day", "old-planes", "carrier-delays"]

pytestmark = pytest.mark.stack


def same(one: Answer, other: Answer) -> None:
    """Compare two answers; where SQL leaves the order of ties open, so do we."""
    assert one.columns == other.columns
    assert one.types == other.types
    assert sorted(map(repr, one.rows)) == sorted(map(repr, other.rows))
    assert one.rows, "an empty answer would agree with anything"


@pytest.mark.parametrize(
    ("catalog", "sql"), [(c, s) for _, c, s in QUESTIONS], ids=[n for n, _, _ in QUESTIONS]
)
def test_it_gives_the_same_answer_on_the_server_here_and_in_plain_duckdb(
    lab: Lab, catalog: str, sql: str
) -> None:
    plain = lab.plainly(sql, catalog, is_older=False)
    same(lab.by_upend(sql, catalog, on="server", is_older=False), plain)
    same(lab.by_upend(sql, catalog, on="local", is_older=False), plain)


@pytest.mark.parametrize("name", OLDER)
def test_it_gives_the_same_answer_at_an_older_snapshot(lab: Lab, name: str) -> None:
    catalog, sql = next((c, s) for n, c, s in QUESTIONS if n == name)
    plain = lab.plainly(sql, catalog, is_older=True)
    same(lab.by_upend(sql, catalog, on="server", is_older=True), plain)
    same(lab.by_upend(sql, catalog, on="local", is_older=True), plain)
    assert plain.rows != lab.plainly(sql, catalog, is_older=False).rows


@pytest.mark.parametrize("on", ["server", "local"])
@pytest.mark.parametrize(
    ("catalog", "sql"),
    [
        ("flights", "SELECT * FROM flights WHERE note = 'added'"),
        ("flights", "SELECT note, count(*) FROM flights GROUP BY note"),
        ("flights", "SELECT * FROM airlines WHERE carrier LIKE 'Z%'"),
        ("flights", "SELECT built, year, count(*) FROM planes GROUP BY ALL"),
        ("flights", "SELECT count(*) FROM flights"),
        ("tpch", "SELECT * FROM nation WHERE n_nationkey > 20"),
        ("tpch", "SELECT * FROM orders WHERE o_orderkey > 90000000"),
        (
            "tpch",
            (
                "SELECT o_comment, sum(o_totalprice) FROM orders WHERE o_comment IN"
                " ('revised', 'inlined') GROUP BY 1"
            ),
        ),
    ],
)
def test_it_sees_what_was_deleted_updated_inlined_added_and_renamed(
    lab: Lab, catalog: str, sql: str, on: str
) -> None:
    plain = lab.plainly(sql, catalog, is_older=False)
    same(lab.by_upend(sql, catalog, on=on, is_older=False), plain)
