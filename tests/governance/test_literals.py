"""It writes values and names as SQL that means exactly them."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance import literals


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    con = duckdb.connect()
    yield con
    con.close()


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT)
def test_it_writes_text_of_any_characters(con: duckdb.DuckDBPyConnection, value: str) -> None:
    for text in (value, "it's", "\\'; --", "a\0b", "\0", "ü€😀\n"):
        sql = f"SELECT {literals.text(text)}, typeof({literals.text(text)})"
        assert con.execute(sql).fetchall() == [(text, "VARCHAR")]


@given(TEXT.filter(lambda name: name and "\0" not in name))
def test_it_writes_names_of_any_characters(con: duckdb.DuckDBPyConnection, value: str) -> None:
    for name in (value, 'say "x"', "a.b", "select", "it's"):
        quoted = literals.name(name)
        assert con.execute(f"SELECT {quoted} FROM (SELECT 1 AS {quoted})").fetchall() == [(1,)]
