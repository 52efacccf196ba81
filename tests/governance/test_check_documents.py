"""What a check finds in masks and row filters, where, and what it compiles them to."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import pytest

from accounts.models import Group, ServiceAccount
from governance import naming
from governance.checking import check
from governance.domain import PolicyKind
from governance.models import TagAssignment, TagDefinition

from .conftest import Company
from .publishing import ask, mask, publish, row_filter
from .shelf import Shelf, checked

MASK = """\
# who sees addresses
columns: [email, info.iban]
method: partial
keep_last: 2
except:
  - group: hr
  - {role: owner}
  - attribute: {department: legal}
"""


def test_it_compiles_a_mask(company: Company, shelf: Shelf, hr: Group) -> None:
    people = shelf.securables[1]
    found = checked(company, PolicyKind.MASK, MASK, people)
    assert found.findings == ()
    below = people.key.replace("table:", "column:")
    assert found.compiled == {
        "columns": [
            {"name": "email", "keys": [f"{below}/1"]},
            {"name": "info.iban", "keys": [f"{below}/4"]},
        ],
        "tags": [],
        "mask": {"method": "partial", "keep_last": 2},
        "except": [
            {"kind": "group", "key": str(hr.id)},
            {"kind": "role", "key": "owner"},
            {"kind": "attribute", "key": "department=legal"},
        ],
    }
    assert found.summary == (
        "In flights.main.people, only the last 2 characters of email and info.iban are shown, "
        "to everyone but the group hr, the role owner and those with department legal."
    )
    publish(company, "m", PolicyKind.MASK, people, found.compiled)
    masks = ask(company.actors["analyst"], people).obligations.masks
    assert [m.column for m in masks] == ["email", "info"]
    assert ask(company.actors["owner"], people).obligations.is_empty


@pytest.mark.parametrize(
    "wrong",
    [
        ("", 1, 1, "Expected the keys columns", "Begin with columns:"),
        ("columns: [email]\nmethod: [", 2, 10, "This is not YAML", ""),
        ("columns: [email]\nmethod: nul", 2, 9, "There is no method 'nul'", "Use one of bucket"),
        ("colums: [email]\nmethod: null", 1, 1, "There is no key 'colums' here", "mean columns"),
        ("columns: [email]\ncolumns: [x]\nmethod: null", 2, 1, "columns is there twice", ""),
        ("columns: []\nmethod: null", 1, 10, "No column is named", ""),
        ("columns: [emial]\nmethod: null", 1, 11, "There is no column 'emial'", "mean email?"),
        ("columns: [{tag: nope}]\nmethod: null", 1, 17, "There is no tag 'nope'", ""),
        ("columns: [email]", 1, 1, "The key method is missing", ""),
        ("columns: [email]\nmethod: partial", 2, 9, "needs the key keep_last", ""),
        ("columns: [email]\nmethod: hide\nunit: day", 3, 7, "has no parameter unit", ""),
        ("columns: [email]\nmethod: bucket\nwidth: 5", 2, 9, "is for numbers", ""),
        ("columns: [info.iban]\nmethod: hide", 2, 9, "a part cannot be hidden", "Hide all"),
        ("columns: &a [email]\nmethod: null", 1, 10, "Anchors, aliases and tags", ""),
        ("columns: [email]\nmethod: !!python/x hide", 2, 9, "Anchors, aliases and tags", ""),
        (
            "columns: [email]\nmethod: null\nexcept: [{group: hrr}]",
            3, 18, "There is no group 'hrr' in Air", "Did you mean hr?",
        ),
        ("columns: [email]\nmethod: null\nexcept: [hr]", 3, 10, "not understood", "{group: …}"),
        ("columns: [email]\nmethod: null\nexcept: [{role: boss}]", 3, 17, "no role 'boss'", ""),
        (
            "columns: [email]\nmethod: expression\nsql: lower(email",
            3, 16, "syntax error", "",
        ),
        (
            "columns: [email]\nmethod: expression\nsql: |\n  lower(\n   emial)",
            5, 4, "emial", "",
        ),
        ("columns: [email]\nmethod: expression\nsql: length(email)", 3, 6, "", ""),
        ("columns: [email]\nmethod: expression\nsql: principal.x", 3, 6, "at the principal", ""),
    ],
)  # fmt: skip
def test_it_says_where_a_mask_is_wrong_and_what_to_do(
    company: Company, shelf: Shelf, hr: Group, wrong: tuple[str, int, int, str, str]
) -> None:
    text, line, column, message, hint = wrong
    found = checked(company, PolicyKind.MASK, text, shelf.securables[1])
    first = found.findings[0]
    assert message in first.message
    assert (first.line, first.column) == (line, column), first
    assert hint in first.hint
    assert found.compiled == {}
    assert hr.name == "hr"


def test_it_compiles_a_row_filter(company: Company, shelf: Shelf) -> None:
    text = "where: |\n  region = principal.region\n  OR info.age > 60 -- region\n"
    people = shelf.securables[1]
    found = checked(company, PolicyKind.ROW_FILTER, text, people)
    assert found.findings == ()
    publish(company, "f", PolicyKind.ROW_FILTER, people, found.compiled)
    who = replace(company.actors["owner"], attributes={"region": "EU"})
    (only,) = ask(who, people).obligations.row_filters
    assert only.predicate.startswith(
        "\"region\" = 'EU'\nOR struct_extract(\"info\", 'age') > 60 -- region"
    )
    spans = [text[one["start"] : one["end"]] for one in found.references]
    assert spans == ["region", "info.age"]
    renamed = [replace(c, path=("land of",)) if c.name == "region" else c for c in people.columns]
    shelf.securables[1] = replace(people, columns=tuple(renamed))
    shown = naming.shown(company.workspace, text, found.references)
    assert shown == text.replace("region =", '"land of" =')


def test_it_ends_a_comment_before_the_engine_goes_on(company: Company, shelf: Shelf) -> None:
    people = shelf.securables[1]
    found = checked(company, PolicyKind.ROW_FILTER, "where: region = 'EU' -- ours", people)
    assert found.findings == ()
    publish(company, "f", PolicyKind.ROW_FILTER, people, found.compiled)
    (only,) = ask(company.actors["owner"], people).obligations.row_filters
    rows = duckdb.execute(f"SELECT ({only.predicate}) FROM (SELECT 'EU' AS region)").fetchall()
    assert rows == [(True,)]


@pytest.mark.parametrize(
    "wrong",
    [
        ("where: regoin = 'x'", 1, 8, "no column 'regoin'"),
        ("where: region", 1, 8, ""),
        ("where: 'region = (SELECT 1)'", 1, 18, "subquery"),
        ("where: region = 'a' OR", 1, 22, "syntax error"),
        ('where: "region = \\x41"', 1, 8, "escapes"),
        ("filter: region = 'x'", 1, 1, "no key 'filter'"),
    ],
)
def test_it_says_where_a_row_filter_is_wrong(
    company: Company, shelf: Shelf, wrong: tuple[str, int, int, str]
) -> None:
    text, line, column, message = wrong
    found = checked(company, PolicyKind.ROW_FILTER, text, shelf.securables[1])
    first = found.findings[0]
    assert message in first.message
    assert (first.line, first.column) == (line, column), first
    assert found.compiled == {}


def test_it_warns_of_tables_that_a_wide_row_filter_would_close(
    company: Company, shelf: Shelf
) -> None:
    orders = shelf.securables[2]
    shelf.securables[2] = replace(orders, columns=orders.columns[:1])
    scope = company.catalog.securable
    found = checked(company, PolicyKind.ROW_FILTER, "where: region = 'EU'", scope)
    (warning,) = found.findings
    assert warning.severity == "warning"
    assert "flights.main.orders" in warning.message
    assert found.compiled["template"]


def test_it_refuses_two_masks_and_a_masked_filter_with_both_names(
    company: Company, shelf: Shelf
) -> None:
    people = shelf.securables[1]
    scope = company.catalog.securable
    publish(company, "first", PolicyKind.MASK, people, mask(people.columns[3]))
    region = {"column": {"name": "region", "keys": [people.columns[1].key]}}
    publish(company, "filter", PolicyKind.ROW_FILTER, scope, row_filter(region, " = 'EU'"))

    def messages(text: str, name: str) -> list[str]:
        found = check(
            workspace=company.workspace, kind=PolicyKind.MASK, scope=scope, text=text, name=name
        )
        return [finding.message for finding in found.findings]

    (two,) = messages("columns: [info]\nmethod: hide", "second")
    assert "first" in two
    assert "second" in two
    assert messages("columns: [info]\nmethod: hide", "first") == []
    (filtered,) = messages("columns: [region]\nmethod: hide", "second")
    assert "filter and second disagree" in filtered
    found = checked(company, PolicyKind.ROW_FILTER, "where: info.iban = 'x'", scope)
    assert "first" in found.findings[0].message


def test_it_shows_the_names_of_now_and_says_what_is_gone(
    company: Company, shelf: Shelf, hr: Group
) -> None:
    agent = ServiceAccount.objects.get()
    TagDefinition.objects.create(organization=company.organization, name="secret")
    text = (
        'columns: [email, {tag: secret}]\nmethod: "null"\n'
        "except: [{group: hr}, {service_account: agent}, {user: owner@air.example}]\n"
    )
    people = shelf.securables[1]
    references = checked(company, PolicyKind.MASK, text, people).references
    assert naming.shown(company.workspace, text, references) == text
    Group.objects.filter(id=hr.id).update(name='the "best"')
    ServiceAccount.objects.filter(id=agent.id).update(name="true")
    shown = naming.shown(company.workspace, text, references)
    assert '{group: "the \\"best\\""}, {service_account: "true"}' in shown
    again = checked(company, PolicyKind.MASK, shown, people)
    assert again.findings == ()
    assert naming.missing(company.workspace, references) == []
    TagDefinition.objects.all().delete()
    Group.objects.filter(id=hr.id).delete()
    gone = naming.missing(company.workspace, references)
    assert [one["name"] for one in gone] == ["secret", "hr"]
    TagAssignment.objects.create(
        organization=company.organization, securable_key=people.key, tag="secret"
    )
    assert [o["name"] for o in naming.missing(company.workspace, references)] == ["hr"]
