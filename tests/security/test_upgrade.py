"""The comparison of two engines finds what differs, and nothing where nothing does."""

from __future__ import annotations

import sys

import pytest

from tests.security import upgrade

NOW = {
    "duckdb": "1",
    "found": {
        "functions": {"abs": "present"},
        "gate": {"A": "refused: type"},
        "syntax": {"CAST": "alias child cast_type"},
    },
}


def test_it_finds_what_was_added_removed_and_changed(capsys: pytest.CaptureFixture[str]) -> None:
    then = {
        "duckdb": "2",
        "found": {
            "functions": {"read_mind": "present"},
            "gate": {"A": "names hr"},
            "syntax": {"CAST": "alias child type_expr"},
        },
    }
    assert upgrade.report(NOW, then) == 1
    shown = capsys.readouterr().out
    for line in (
        "| functions | abs | present | — |",
        "| functions | read_mind | — | present |",
        "| gate | A | refused: type | names hr |",
        "| syntax | CAST | without type_expr | without cast_type |",
        "4 differences between DuckDB 1 and 2",
    ):
        assert line in shown


def test_it_finds_nothing_where_nothing_differs(capsys: pytest.CaptureFixture[str]) -> None:
    assert upgrade.report(NOW, NOW) == 0
    assert "0 differences" in capsys.readouterr().out


def test_it_describes_the_engine_of_this_environment() -> None:
    found = upgrade.probe(sys.executable)["found"]
    assert found["extensions"] == {"ducklake": "loads", "httpfs": "loads"}
    assert found["gate"]["META-01"] == "refused: table_function"
    assert set(found["canaries"].values()) == {"passes"}
    assert "SELECT_NODE" in found["syntax"]
