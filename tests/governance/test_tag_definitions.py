"""Definitions of tags: who writes them, and what they make of assigning."""

from __future__ import annotations

import pytest

from audit.domain import Event
from audit.models import AuditRecord
from governance import selectors
from governance import services as governance
from governance.models import TagDefinition
from problems import Conflict, Invalid

from .conftest import Company


def define(company: Company, name: str = "sensitivity", **given: object) -> TagDefinition:
    """Have the administrator define a tag with two values."""
    return governance.define_tag(
        actor=company.actors["admin"],
        organization=company.organization,
        name=name,
        **{"allowed_values": ("low", "high"), **given},  # type: ignore[arg-type]
    )


def assign(company: Company, tag: str, value: str = "", *, by: str = "steward") -> None:
    """Put a tag on the column `email`."""
    governance.assign_tag(
        actor=company.actors[by], securable=company.column("email"), tag=tag, value=value
    )


def test_it_allows_the_values_of_a_definition_and_no_others(company: Company) -> None:
    define(company)
    define(company, "finance", allowed_values=())
    assign(company, "sensitivity", "high")
    assign(company, "finance")
    with pytest.raises(Invalid, match="not a value") as wrong:
        assign(company, "sensitivity", "huge")
    assert wrong.value.hint == "Use one of: low, high."
    with pytest.raises(Invalid, match="needs a value"):
        assign(company, "sensitivity")
    with pytest.raises(Invalid, match="has no values"):
        assign(company, "finance", "high")


def test_it_takes_undefined_tags_until_the_organization_says_otherwise(company: Company) -> None:
    assign(company, "free")
    define(company, "finance", allowed_values=())
    company.organization.governed_tags_only = True
    company.organization.save()
    assign(company, "finance")
    with pytest.raises(Invalid, match="is not defined") as refused:
        assign(company, "other")
    assert "finance" in refused.value.hint
    email = company.column("email")
    assert selectors.assigned_tags_of([email])[email.key] == {"free", "finance"}
    governance.remove_tag(actor=company.actors["steward"], securable=email, tag="free")


def test_it_keeps_governed_tags_to_those_who_manage(company: Company) -> None:
    define(company, "personal-data", allowed_values=(), is_governed=True)
    email = company.column("email")
    with pytest.raises(governance.AccessDenied):
        assign(company, "personal-data", by="steward")
    assign(company, "personal-data", by="owner")
    with pytest.raises(governance.AccessDenied):
        governance.remove_tag(actor=company.actors["steward"], securable=email, tag="personal-data")
    governance.remove_tag(actor=company.actors["owner"], securable=email, tag="personal-data")


def test_it_deletes_no_definition_and_no_value_in_use(company: Company) -> None:
    definition, admin = define(company), company.actors["admin"]
    assign(company, "sensitivity", "high")
    with pytest.raises(governance.TagInUse):
        governance.delete_tag_definition(actor=admin, definition=definition)
    with pytest.raises(governance.TagInUse, match="high is still on 1 thing"):
        governance.change_tag_definition(actor=admin, definition=definition, allowed_values=["low"])
    governance.change_tag_definition(actor=admin, definition=definition, allowed_values=["high"])
    governance.remove_tag(
        actor=company.actors["owner"], securable=company.column("email"), tag="sensitivity"
    )
    governance.delete_tag_definition(actor=admin, definition=definition)
    events = AuditRecord.objects.filter(event__startswith="tag.def").order_by("id")
    assert [(r.event, r.before, r.after) for r in events][1:] == [
        (
            Event.TAG_DEFINITION_CHANGED,
            state(allowed_values=["low", "high"]),
            state(allowed_values=["high"]),
        ),
        (Event.TAG_DEFINITION_DELETED, state(allowed_values=["high"]), None),
    ]


def state(**given: object) -> dict[str, object]:
    """Return what the ledger keeps of a definition."""
    return {"name": "sensitivity", "description": "", "is_governed": False, **given}


@pytest.mark.parametrize("role", ["owner", "steward", "analyst", "organization_auditor", "agent"])
def test_it_lets_only_administrators_define(company: Company, role: str) -> None:
    with pytest.raises(governance.AccessDenied):
        governance.define_tag(
            actor=company.actors[role], organization=company.organization, name="finance"
        )


def test_it_defines_a_tag_once(company: Company) -> None:
    define(company)
    with pytest.raises(Conflict):
        define(company)
