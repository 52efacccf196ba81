"""A profile is an ordinary query: the gate knows it, and the engine answers for every type."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from uuid import UUID

import duckdb
import pytest

from catalog.domain import Column, Table
from execution import gate, profiles

EXPRESSIONS = MappingProxyType(
    {
        "BIGINT": "i",
        "DECIMAL(10,2)": "i * 1.5",
        "DOUBLE": "i / 3",
        "VARCHAR": "'v' || (i % 3)",
        "BOOLEAN": "i % 2 = 0",
        "DATE": "DATE '2020-01-01' + i::INTEGER",
        "TIMESTAMP": "TIMESTAMP '2020-01-01' + to_days(i::INTEGER)",
        "UUID": "uuid()",
        "BIGINT[]": "[i]",
        'STRUCT("a" BIGINT)': "{'a': i}",
    }
)
TABLE = Table(UUID(int=1), "air", 1, UUID(int=2), "main", 'odd "name"', "p/", (), 0, 0, 0)


@pytest.mark.parametrize("kind", EXPRESSIONS)
def test_it_tells_facts_top_values_and_bins(kind: str) -> None:
    column = Column(1, 0, 'c "1"', "", kind, nulls_allowed=True)
    sql = profiles.column_profile(replace(TABLE, columns=(column,)), column)
    checked = gate.check(sql)
    assert [name.table for name in checked.tables] == [TABLE.name]
    assert checked.is_repeatable
    with duckdb.connect() as con:
        con.execute("ATTACH ':memory:' AS air")
        values = f'SELECT ({EXPRESSIONS[kind]})::{kind} AS "c ""1""" FROM range(100) r(i)'
        name = '"odd ""name"""'
        con.execute(f"CREATE TABLE air.main.{name} AS {values} UNION ALL SELECT NULL FROM range(5)")
        rows = con.execute(sql).fetchall()
    facts = {label: value for name, label, value, _ in rows if name == "fact"}
    assert (facts["rows"], facts["nulls"]) == ("105", "5")
    bins = [int(value) for name, _, value, _ in rows if name == "bin"]
    top = [int(value) for name, _, value, _ in rows if name == "top"]
    is_number = kind in {"BIGINT", "DECIMAL(10,2)", "DOUBLE", "DATE", "TIMESTAMP"}
    assert (sum(bins), len(bins)) == ((100, 20) if is_number else (0, 0))
    assert len(top) == {"VARCHAR": 3, "BOOLEAN": 2, "BIGINT[]": 0, 'STRUCT("a" BIGINT)': 0}.get(
        kind, 10
    )


def test_it_has_a_query_for_all_columns() -> None:
    assert [t.table for t in gate.check(profiles.table_profile(TABLE)).tables] == [TABLE.name]
