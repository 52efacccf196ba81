"""Every attack that the gate must refuse, refused for the reason the corpus names."""

from __future__ import annotations

import pytest

from execution.gate import SqlRefused, check
from tests.security.corpus import ATTACKS, Attack

GATE_CODES = {
    "cte_system_name", "function", "not_select", "parse", "show", "table_function", "time_travel",
    "type",
}  # fmt: skip
OTHER_LAYERS = {
    "path_outside_data_path": "catalog.lake refuses it",
    "view_not_safe": "slices carry no stored views",
    "macros_dropped": "slices carry no macros",
    "table_not_granted": "test_it_names_every_table_that_is_not_granted",
}
ALL = [a for a in ATTACKS if a.is_statement or a.category == "catalog"]


def refused_with(*codes: str) -> list[Attack]:
    return [a for a in ALL if a.expected.removeprefix("refuse:") in codes]


@pytest.mark.parametrize("attack", refused_with(*GATE_CODES), ids=lambda a: a.id)
def test_it_refuses(attack: Attack) -> None:
    with pytest.raises(SqlRefused) as caught:
        check(attack.sql)
    assert caught.value.reason.value == attack.expected.removeprefix("refuse:")


@pytest.mark.parametrize("attack", refused_with("table_not_granted"), ids=lambda a: a.id)
def test_it_names_every_table_that_is_not_granted(attack: Attack) -> None:
    """The resolver can only refuse what the gate has named: nothing else may reach an engine."""
    names = {table.text.lower() for table in check(attack.sql).tables}
    assert names - {"sales", "shop.main.sales"}


def test_it_refuses_or_contains_a_join_that_runs_away() -> None:
    attack = next(a for a in ALL if a.id == "DOS-07")
    with pytest.raises(SqlRefused, match="more than"):
        check(attack.sql)


def test_it_knows_every_code_of_the_corpus() -> None:
    codes = {a.code for a in ALL if a.code}
    assert codes == GATE_CODES - {"time_travel", "cte_system_name"} | set(OTHER_LAYERS)


@pytest.mark.parametrize(
    "attack",
    [a for a in ALL if a.expected.startswith(("ok:masked", "ok:empty", "ok:no_hidden", "error:"))],
    ids=lambda a: a.id,
)
def test_it_lets_what_is_contained_elsewhere_through(attack: Attack) -> None:
    assert {table.text.lower() for table in check(attack.sql).tables} <= {
        "sales",
        "shop.main.sales",
    }
