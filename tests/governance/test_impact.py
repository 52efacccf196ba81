"""What a change of policies would do to everyone, held against asking about each thing alone."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from accounts.domain import Actor
from governance import verdicts
from governance.bundle import Bundle
from governance.comparison import Effect
from governance.domain import Action, PolicyKind
from governance.impact import Impact, impact, within
from governance.rules import Published

from .conftest import Company
from .crowd import Answers, Crowd, brute_force, gather, outcomes_by_brute_force
from .publishing import access, mask, publish, row_filter
from .shelf import Shelf


def drafts(crowd: Crowd) -> dict[str, Published]:
    """Return a draft of each kind, about groups, tags, owners and people."""
    hr, ops, _ = crowd.groups
    workspace, catalog = crowd.company.securable("workspace"), crowd.company.securable("catalog")
    spared = [{"kind": "group", "key": str(hr.id)}]
    text = f"""
    forbid (principal, action in [Action::"table.query", Action::"catalog.browse"], resource)
    when {{ resource.tags.contains("finance") }}
    unless {{ principal in Group::"{ops.id}" || resource.owners.contains(principal) }};
    permit (principal in Group::"{hr.id}", action == Action::"table.append",
            resource == Table::"{crowd.tables[3].key}");
    """
    at_home = 'forbid (principal, action == Action::"table.materialize_locally", resource);'
    email, region = crowd.tables[1].columns[:2]
    return {
        "local": crowd.policy("draft", PolicyKind.ACCESS, workspace, access(at_home)),
        "access": crowd.policy("draft", PolicyKind.ACCESS, workspace, access(text)),
        "mask": crowd.policy(
            "draft", PolicyKind.MASK, catalog,
            mask(email, tags=("personal-data",), spared=spared),
        ),
        "row_filter": crowd.policy(
            "draft", PolicyKind.ROW_FILTER, crowd.tables[1],
            row_filter({"column": {"name": "region", "keys": [region.key]}}, " = ",
                       {"principal": "email"}, spared=spared),
        ),
    }  # fmt: skip


@pytest.mark.timeout(1800)
def test_it_agrees_with_brute_force_on_50_principals_and_500_tables(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Querying only; with UPEND_TEST_EVERY_ACTION=1 every action and outcome, in minutes."""
    crowd = gather(company, people=50, tables=500)
    assert len(crowd.actors) == 50
    now = then = crowd.now
    for name, draft in drafts(crowd).items():
        then = then.with_policy(replace(draft, name=name))
    found = _pairs(_impact(crowd, now, then))
    monkeypatch.setattr(verdicts, "FEW", 10**9)  # each question is asked, none stands for others
    if os.environ.get("UPEND_TEST_EVERY_ACTION"):
        held = (now, then)
        before, after = (brute_force(crowd, b) | outcomes_by_brute_force(crowd, b) for b in held)
        assert found == _different(before, after)
        return
    asked = Action.TABLE_QUERY
    expected = _different(brute_force(crowd, now, asked), brute_force(crowd, then, asked))
    assert len(expected) > 1000
    assert {pair for pair in found if pair[2] == asked} == expected


@pytest.mark.parametrize("kind", ["access", "local", "mask", "row_filter"])
def test_it_agrees_with_brute_force_about_every_action(
    company: Company, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    crowd = gather(company, people=14, tables=30)
    column = crowd.tables[2].columns[0]
    publish(company, "no-mail", PolicyKind.MASK, crowd.tables[2], mask(column))
    now = crowd.now
    then = now.with_policy(drafts(crowd)[kind])
    found, ending = _impact(crowd, now, then), _impact(crowd, then, now)
    monkeypatch.setattr(verdicts, "FEW", 10**9)
    before, after = (
        brute_force(crowd, held) | outcomes_by_brute_force(crowd, held) for held in (now, then)
    )
    expected = _different(before, after)
    assert expected
    assert _pairs(found) == _pairs(ending) == expected


def test_it_counts_but_does_not_name_what_the_reader_may_not_browse(company: Company) -> None:
    crowd = gather(company, people=14, tables=15)
    secret = crowd.tables[7]
    forbid = f'forbid (principal, action, resource == Table::"{secret.key}")'
    forbid += f' unless {{ principal == User::"{company.users["owner"].id}" }};'
    publish(company, "secret", PolicyKind.ACCESS, secret, access(forbid, about=secret.key))
    now = crowd.now
    draft = crowd.policy("m", PolicyKind.MASK, company.securable("catalog"), mask(
        secret.columns[0], tags=("personal-data",)
    ))  # fmt: skip
    then = now.with_policy(draft)
    of = {
        name: _impact(crowd, now, then, reader=company.actors[name])
        for name in ("owner", "steward")
    }
    assert of["owner"].counts == of["steward"].counts
    assert of["owner"].unnamed == 0 < of["steward"].unnamed
    named = {name: {row.securable.key for row in found.rows()} for name, found in of.items()}
    assert named["owner"] - named["steward"] == {secret.key}


def test_it_says_why_and_pages_without_loss(company: Company) -> None:
    crowd = gather(company, people=14, tables=15)
    now = crowd.now
    found = _impact(crowd, now, now.with_policy(drafts(crowd)["access"]))
    assert {row.change.why for row in found.rows() if row.change.effect is Effect.LOSES} == {
        "Said by the text."
    }
    rows = found.rows()
    assert [*found.rows(0, 7), *found.rows(7)] == rows
    assert found.principals_affected == len({row.principal.actor.id for row in rows})
    assert {row.change.effect for row in rows} >= {Effect.LOSES, Effect.MOVES, Effect.GAINS}


def test_it_asks_with_and_without_a_second_factor_where_a_policy_looks_at_it(
    company: Company,
) -> None:
    crowd = gather(company, people=14, tables=2)
    text = 'forbid (principal, action == Action::"table.query", resource) unless { context.mfa };'
    workspace = company.securable("workspace")
    draft = crowd.policy("mfa", PolicyKind.ACCESS, workspace, access(text))
    rows = _impact(crowd, crowd.now, crowd.now.with_policy(draft)).rows()
    assert rows
    assert {row.change.circumstance for row in rows} == {"without a second factor"}


def test_it_finds_what_is_within_a_scope(company: Company, shelf: Shelf) -> None:
    catalog, *tables = shelf.securables
    top = company.securable("workspace")
    assert within(company.workspace, top) == [top, catalog, *tables]
    assert within(company.workspace, catalog) == [catalog, *tables]
    (only,) = within(company.workspace, tables[1])
    assert (only, only.columns) == (tables[1], tables[1].columns)


def _impact(crowd: Crowd, now: Bundle, then: Bundle, reader: Actor | None = None) -> Impact:
    workspace, scope = crowd.company.workspace, crowd.scope
    return impact(workspace=workspace, securables=scope, now=now, then=then, reader=reader)


def _different(before: Answers, after: Answers) -> set[tuple[str, str, str]]:
    return {key for key in before if before[key] != after[key]}


def _pairs(found: Impact) -> set[tuple[str, str, str]]:
    """Return whom what changes for, each once."""
    rows = found.rows()
    pairs = {(r.principal.actor.label, r.securable.key, r.change.action) for r in rows}
    assert len(pairs) == len(rows) == sum(found.counts.values())
    return pairs
