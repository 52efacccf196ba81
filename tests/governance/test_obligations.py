"""What published masks and row filters make of a table, for whom, and where they fail closed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from accounts.models import Group
from governance.domain import (
    Action,
    PolicyKind,
    Securable,
)
from governance.models import TagAssignment

from .conftest import APPROVED, Company, columns_of
from .publishing import PERMIT, access, ask, mask, publish, row_filter


def test_it_masks_for_all_but_those_exempt(company: Company, people: Securable) -> None:
    hr = Group.objects.create(organization=company.organization, name="hr")
    email = people.columns[0]
    spared = [{"kind": "group", "key": str(hr.id)}]
    publish(company, "no-mail", PolicyKind.MASK, people, mask(email, spared=spared))
    decision = ask(company.actors["owner"], people)
    assert [(m.column, m.expression, m.policy) for m in decision.obligations.masks] == [
        ("email", "CAST(NULL AS VARCHAR)", "no-mail")
    ]
    assert ("no-mail", 3) in [(p.name, p.version) for p in decision.determined_by]
    in_hr = replace(company.actors["owner"], group_ids=frozenset({hr.id}))
    assert ask(in_hr, people).obligations.is_empty
    local = company.on("owner", APPROVED)
    taken = ask(local, people, Action.TABLE_MATERIALIZE_LOCALLY)
    assert taken.obligations == decision.obligations
    assert ask(local, people, Action.TABLE_APPEND).obligations.is_empty


@pytest.mark.parametrize(
    ("spared", "who"),
    [
        ({"kind": "role", "key": "steward"}, "steward"),
        ({"kind": "attribute", "key": "department=hr"}, "member"),
        ({"kind": "user", "key": "auditor"}, "analyst"),
        ({"kind": "service_account", "key": "agent"}, "agent"),
    ],
)
def test_it_exempts_exactly_whom_a_mask_names(
    company: Company, people: Securable, spared: dict[str, str], who: str
) -> None:
    key = spared["key"]
    if spared["kind"] in {"user", "service_account"}:
        spared = spared | {"key": str(company.actors[who].id)}
    actors = {"member": replace(company.actors["member"], attributes={"department": "hr"})}
    scope = company.securable("workspace")
    publish(company, "open", PolicyKind.ACCESS, scope, access(PERMIT))
    publish(company, "m", PolicyKind.MASK, people, mask(people.columns[0], spared=[spared]))
    seen = {
        name
        for name, actor in (company.actors | actors).items()
        if ask(actor, people).obligations.is_empty
    }
    assert seen == {who}, key


def test_it_follows_a_renamed_column_and_catches_a_new_one_of_the_name(
    company: Company, people: Securable
) -> None:
    publish(company, "no-mail", PolicyKind.MASK, people, mask(people.columns[0]))
    email, *others = people.columns
    renamed = replace(email, path=("address",))
    again = replace(email, key=email.key + "0")
    table = replace(people, columns=(renamed, *others, again))
    masks = ask(company.actors["owner"], table).obligations.masks
    assert [m.column for m in masks] == ["address", "email"]


def test_it_masks_by_tags_of_columns_and_of_all_above(company: Company, people: Securable) -> None:
    scope = company.securable("workspace")
    publish(company, "pd", PolicyKind.MASK, scope, mask(tags=("personal-data",)))
    owner = company.actors["owner"]
    assert ask(owner, people).obligations.is_empty
    iban = people.columns[3]
    TagAssignment.objects.create(
        organization=company.organization, securable_key=iban.key, table_key=people.key,
        tag="personal-data",
    )  # fmt: skip
    (masked,) = ask(owner, people).obligations.masks
    assert masked.column == "info"
    assert "struct_pack" in masked.expression
    TagAssignment.objects.create(
        organization=company.organization, securable_key=people.key, tag="personal-data"
    )
    masks = ask(owner, people).obligations.masks
    assert [m.column for m in masks] == ["email", "region", "info"]
    assert {m.expression.partition(" AS")[0] for m in masks} == {"CAST(NULL"}


def test_it_hides_columns_and_shows_nothing_where_two_masks_meet(
    company: Company, people: Securable
) -> None:
    email, region, info, iban, _ = people.columns
    publish(company, "b", PolicyKind.MASK, people, mask(email, method="constant", value="x"))
    publish(company, "a", PolicyKind.MASK, people, mask(email, iban, method="partial", keep_last=2))
    publish(company, "h", PolicyKind.MASK, people, mask(region, method="hide"))
    publish(company, "i", PolicyKind.MASK, people, mask(info))
    obligations = ask(company.actors["owner"], people).obligations
    assert obligations.hidden_columns == {"region"}
    shown = {m.column: (m.expression, m.policy) for m in obligations.masks}
    assert shown["email"] == ("CAST(NULL AS VARCHAR)", "a, b")
    assert shown["info"] == (f"CAST(NULL AS {info.type})", "a, i")


def test_it_filters_rows_by_attributes_and_shows_none_without_them(
    company: Company, people: Securable
) -> None:
    region = {"column": {"name": "region", "keys": [people.columns[1].key]}}
    compiled = row_filter(region, " = ", {"principal": "region"})
    scope = company.securable("workspace")
    publish(company, "own-region", PolicyKind.ROW_FILTER, scope, compiled)
    owner = company.actors["owner"]
    (none,) = ask(owner, people).obligations.row_filters
    assert none.predicate == "false"
    there = replace(owner, attributes={"region": "O'Hare"})
    (found,) = ask(there, people).obligations.row_filters
    assert found.predicate == "\"region\" = 'O''Hare'"
    publish(
        company, "a-first", PolicyKind.ROW_FILTER, people,
        row_filter({"principal": "email"}, " <> ''"),
    )  # fmt: skip
    both = ask(there, people).obligations.row_filters
    assert [f.policy for f in both] == ["a-first", "own-region"]
    assert both[0].predicate == f"'{owner.label}' <> ''"


def test_it_denies_a_table_without_the_column_that_is_filtered_by(
    company: Company, people: Securable
) -> None:
    keys = [people.columns[1].key]
    compiled = row_filter({"column": {"name": "region", "keys": keys}}, " = 'EU'")
    scope = company.securable("workspace")
    publish(company, "eu-only", PolicyKind.ROW_FILTER, scope, compiled)
    other = company.table("other")
    without = replace(other, columns=columns_of(other)[:1])
    decision = ask(company.actors["owner"], without)
    assert not decision.allowed
    assert "eu-only" in decision.reason
    assert "region" in decision.reason
    assert "new version of eu-only" in decision.remedy
    assert ask(company.actors["owner"], people).allowed


def test_it_denies_a_table_whose_masked_column_is_gone(company: Company, people: Securable) -> None:
    publish(company, "no-mail", PolicyKind.MASK, people, mask(people.columns[0]))
    owner = company.actors["owner"]
    gone = replace(people, columns=people.columns[1:])
    assert not ask(owner, gone).allowed
    assert ask(owner, gone, Action.CATALOG_BROWSE).allowed
    again = replace(people.columns[0], key=people.columns[0].key + "0")
    assert ask(owner, replace(gone, columns=(*gone.columns, again))).obligations.masks


def test_it_obliges_where_columns_are_unknown(company: Company, people: Securable) -> None:
    publish(company, "no-mail", PolicyKind.MASK, people, mask(people.columns[0]))
    unknown = replace(people, columns=())
    assert not ask(company.actors["owner"], unknown).obligations.is_empty
    scope = company.securable("workspace")
    compiled = row_filter({"column": {"name": "x", "keys": []}}, " = 1")
    publish(company, "f", PolicyKind.ROW_FILTER, scope, compiled)
    filters = ask(company.actors["owner"], unknown).obligations.row_filters
    assert [f.predicate for f in filters] == ["false"]
