"""What a check finds in Cedar text, where, and what it compiles it to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from accounts.models import Group
from governance import services as governance
from governance.domain import Action, PolicyKind
from governance.forms import form_of

from .conftest import APPROVED, Company
from .publishing import ask, publish
from .shelf import Shelf, checked


def test_it_compiles_an_access_policy(company: Company, shelf: Shelf, hr: Group) -> None:
    text = """// people of hr
@summary("HR reads people.")
permit (
  principal in Group::"hr",
  action in [Action::"table.query", Action::"catalog.browse"],
  resource in Table::"flights.main.people"
);
forbid (principal == User::"analyst@air.example", action, resource)
when { context.mfa && resource in Catalog::"flights" };
"""
    found = checked(company, PolicyKind.ACCESS, text, company.catalog.securable)
    assert found.findings == ()
    first, second = found.compiled["statements"]
    people = shelf.securables[1]
    assert first["about"] == people.key
    assert first["summary"] == "HR reads people."
    assert second["summary"] == (
        "analyst@air.example may not do anything with all in its scope, if they signed in with a "
        "second factor and it is in flights."
    )
    publish(company, "hr-reads", PolicyKind.ACCESS, company.catalog.securable, found.compiled)
    member = replace(company.actors["member"], group_ids=frozenset({hr.id}))
    assert ask(member, people).allowed
    assert not ask(member, shelf.securables[2]).allowed
    assert not ask(company.actors["member"], people).allowed
    analyst = company.actors["analyst"]
    assert ask(analyst, people).allowed
    assert not ask(replace(analyst, mfa=True), people).allowed
    kinds = [(one["kind"], one["name"]) for one in found.references]
    assert kinds == [
        ("group", "hr"),
        ("table", "flights.main.people"),
        ("user", "analyst@air.example"),
        ("catalog", "flights"),
    ]
    spans = [text[one["start"] : one["end"]] for one in found.references]
    assert spans[0] == '"hr"'


@pytest.mark.parametrize(
    "wrong",
    [
        ("", 1, 1, "no policy"),
        ("permit (principal, action, resource)", 1, 36, "not finished"),
        ("permit (principal, action, resource);\npermit (principal action);", 2, 19, "`action`"),
        ("permit (principal, action, resource)\nwhen { foo };", 2, 8, "invalid variable"),
        ('permit (principal in Group::"hrr", action, resource);', 1, 29, "no group 'hrr'"),
        ('permit (principal in Grp::"hr", action, resource);', 1, 22, "`Grp`"),
        (
            'permit (principal, action == Action::"table.red", resource);',
            1, 38, "table.red",
        ),
        (
            'permit (principal, action, resource)\nwhen { resource.hue > 3 };',
            2, 17, "`hue`",
        ),
        ("permit (principal == ?principal, action, resource);", 1, 22, "Templates"),
        ('@max_age("soon")\npermit (principal, action, resource);', 1, 2, "'soon' is not an age"),
        ('@max_age("8h")\nforbid (principal, action, resource);', 1, 2, "has no age"),
        ('permit (principal, action, resource == Workspace::"other");', 1, 51, "no workspace"),
        ('permit (principal, action, resource == Table::"flights.main.gone");', 1, 47, "no table"),
        (
            'permit (principal, action, resource)\nwhen { resource.tags.contains("nope") };',
            2, 31, "no tag 'nope'",
        ),
        (
            'permit (principal, action, resource == Table::"flights.main.orders");',
            1, 47, "is not below flights.main.people",
        ),
    ],
)  # fmt: skip
def test_it_says_where_an_access_policy_is_wrong(
    company: Company, shelf: Shelf, wrong: tuple[str, int, int, str]
) -> None:
    text, line, column, message = wrong
    found = checked(company, PolicyKind.ACCESS, text, shelf.securables[1])
    first = found.findings[0]
    assert message in first.message
    assert (first.line, first.column) == (line, column), first
    assert found.compiled == {}


def test_it_bounds_how_long_what_is_permitted_may_be_held(company: Company) -> None:
    scope = company.catalog.securable
    local = 'action == Action::"table.materialize_locally"'
    for name, age in (("by-day", "1d"), ("by-minute", "90s")):
        text = f'@max_age("{age}") permit (principal, {local}, resource);'
        found = checked(company, PolicyKind.ACCESS, text, scope)
        assert found.findings == ()
        publish(company, name, PolicyKind.ACCESS, scope, found.compiled)
    decision = governance.decide(
        company.on("analyst", APPROVED), Action.TABLE_MATERIALIZE_LOCALLY, company.table()
    )
    assert decision.max_age_seconds == 90
    assert ask(company.actors["analyst"], company.table()).max_age_seconds is None


@pytest.mark.parametrize(
    "condition",
    [
        "(" * 20_000 + "true" + ")" * 20_000,
        "[" * 5_000,
        "// \r" + "(" * 5_000,
        "(;" * 5_000,
        "if true then " * 4_000 + "true" + " else true" * 4_000,
        " && ".join(["true"] * 5_000),
        "context" + ".device" * 5_000,
        " && ".join(["1" + "+1" * 25 + " == 1"] + ["context.mfa"] * 45),
    ],
)
def test_it_refuses_what_would_end_the_process(
    company: Company, shelf: Shelf, condition: str
) -> None:
    text = f"permit (principal, action, resource) when {{ {condition} }};"[:65_536]
    found = checked(company, PolicyKind.ACCESS, text, shelf.securables[1])
    assert "too deeply" in found.findings[0].message
    assert found.compiled == {}
    assert form_of(PolicyKind.ACCESS, text) is None


def test_it_takes_a_long_policy(company: Company, shelf: Shelf) -> None:
    condition = " || ".join(["context.mfa && context.device.present"] * 20)
    text = f"permit (principal, action, resource) when {{ {condition} }};" * 50
    found = checked(company, PolicyKind.ACCESS, text, shelf.securables[1])
    assert found.findings == ()
    assert len(found.compiled["statements"]) == 50


def test_it_says_that_columns_are_not_named_in_cedar(company: Company, shelf: Shelf) -> None:
    text = 'forbid (principal, action, resource == Column::"flights.main.people.email");'
    found = checked(company, PolicyKind.ACCESS, text, shelf.securables[1])
    assert "Columns are not named" in found.findings[0].message
