"""From decisions on a table to what may be on a person's machine: all combinations, and words."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from governance import materialization
from governance import services as governance
from governance.domain import (
    Action,
    ColumnMask,
    Decision,
    DecisionContext,
    Obligations,
    PolicyKind,
    PolicyReference,
    RowFilter,
)
from governance.materialization import Outcome

from .conftest import APPROVED, PENDING, Company
from .publishing import mask, publish

MASKED = Obligations(masks=(ColumnMask("email", "NULL", "mask-contact"),))
FILTERED = Obligations(row_filters=(RowFilter("region = 'eu'", "own-region"),))
HIDDEN = Obligations(hidden_columns=frozenset({"iban"}))
LOCAL = DecisionContext(place="local")


def decision(action: Action, allowed: bool) -> Decision:
    """Return an answer that says by which policy, and what would help where it is no."""
    name = f"{action.value}-{'may' if allowed else 'may-not'}"
    remedy = "" if allowed else f"Ask for {action.value}."
    policies = (PolicyReference(name, 1),)
    return Decision(allowed, action, "table:1", "hr.main.staff", f"{name}.", policies, remedy)


def decided(query: bool, raw: bool, extract: bool, obligations: Obligations) -> list[Decision]:
    """Return the three answers about a table."""
    given = zip(materialization.ASKED, (query, raw, extract), strict=True)
    first, *others = (decision(action, allowed) for action, allowed in given)
    return [replace(first, obligations=obligations), *others]


@pytest.mark.parametrize("obligations", [Obligations(), MASKED, FILTERED, HIDDEN])
@pytest.mark.parametrize(
    ("query", "raw", "extract"), list(itertools.product([False, True], repeat=3))
)
def test_it_hands_out_no_more_than_every_decision_allows(
    query: bool, raw: bool, extract: bool, obligations: Obligations
) -> None:
    found = materialization.outcome(*decided(query, raw, extract, obligations))
    if query and raw and obligations.is_empty:
        assert found.outcome is Outcome.RAW
    elif query and extract:
        assert (found.outcome, found.obligations) == (Outcome.EXTRACT, obligations)
    else:
        assert found.outcome is Outcome.SERVER
    assert found.reason
    assert found.would_change
    assert found.determined_by


def test_it_says_which_policy_masks_it_and_which_allows_the_extract() -> None:
    query, raw, extract = decided(True, True, True, MASKED)
    mask = PolicyReference("mask-contact", 4, "E-mail addresses are masked.")
    query = replace(query, determined_by=(*query.determined_by, mask))
    found = materialization.outcome(query, raw, extract)
    assert found.determined_by == (mask, *extract.determined_by)
    assert found.reason == (
        "hr.main.staff is masked for you, so your machine gets an extract with that applied, "
        "never its files."
    )


def test_it_keeps_all_tables_that_one_keeps() -> None:
    answers = [
        *decided(True, True, True, Obligations()),
        *decided(True, True, True, FILTERED),
        *decided(True, False, False, Obligations()),
    ]
    found = materialization.outcomes(answers)
    assert [m.outcome for m in found] == [Outcome.RAW, Outcome.EXTRACT, Outcome.SERVER]
    assert materialization.least(found) is Outcome.SERVER
    assert materialization.least(found[:2]) is Outcome.EXTRACT
    assert materialization.least(()) is Outcome.RAW


def test_it_follows_the_device_the_tag_and_the_switch(company: Company) -> None:
    def ask(actor_name: str = "analyst", device: object = APPROVED) -> Outcome:
        actor = company.on(actor_name, device)  # type: ignore[arg-type]
        asked = materialization.requests(company.table(), LOCAL)
        [found] = materialization.outcomes(governance.decide_many(actor, asked))
        return found.outcome

    assert ask() is Outcome.RAW
    assert ask(device=PENDING) is Outcome.SERVER
    assert ask("agent") is Outcome.SERVER
    assert ask("auditor") is Outcome.SERVER
    company.organization.local_mode_enabled = False
    company.organization.save()
    assert ask() is Outcome.SERVER


def test_it_keeps_files_for_a_column_and_lets_an_extract_go_that_masks_it(
    company: Company,
) -> None:
    def ask() -> materialization.Materialization:
        asked = materialization.requests(company.table(), LOCAL)
        actor = company.on("analyst", APPROVED)
        return materialization.outcomes(governance.decide_many(actor, asked))[0]

    iban, table = company.column("info.iban"), company.table()
    governance.assign_tag(actor=company.actors["owner"], securable=iban, tag="personal-data")
    found = ask()
    assert (found.outcome, [p.name for p in found.determined_by]) == (
        Outcome.SERVER,
        ["personal-data-stays-on-the-server"],
    )
    assert "info.iban" in found.reason
    columns = {column.name: column for column in table.columns}
    publish(company, "emails", PolicyKind.MASK, table, mask(columns["email"]))
    assert ask().outcome is Outcome.SERVER
    publish(company, "banking", PolicyKind.MASK, table, mask(tags=("personal-data",)))
    found = ask()
    assert (found.outcome, {m.column for m in found.obligations.masks}) == (
        Outcome.EXTRACT,
        {"email", "info"},
    )
