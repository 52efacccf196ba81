"""Tags of columns: which count, how few statements find them, and values."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.domain import Event
from audit.models import AuditRecord
from governance import selectors
from governance import services as governance
from governance.models import TagAssignment
from governance.tags import shown
from problems import Invalid

from .conftest import Company


def test_it_hands_tags_down_to_columns_and_children_of_structs(company: Company) -> None:
    owner, table = company.actors["owner"], company.table()
    for securable, tag in (
        (company.securable("workspace"), "internal"),
        (table, "finance"),
        (company.column("info"), "contact"),
        (company.column("info.iban"), "bank"),
    ):
        governance.assign_tag(actor=owner, securable=securable, tag=tag)
    found = selectors.column_tags_of([table])
    by_name = {column.name: found[column.key] for column in table.columns}
    assert by_name == {
        "id": {"internal", "finance"},
        "email": {"internal", "finance"},
        "info": {"internal", "finance", "contact"},
        "info.iban": {"internal", "finance", "contact", "bank"},
    }
    assert selectors.tags_of([table])[table.key] == {"internal", "finance"}
    iban = company.column("info.iban")
    assert selectors.tags_of([iban])[iban.key] == by_name["info.iban"]


def test_it_finds_the_tags_of_many_tables_in_one_statement(company: Company) -> None:
    owner = company.actors["owner"]
    tables = [company.table(f"t{number}") for number in range(20)]
    governance.assign_tag(actor=owner, securable=company.column("email"), tag="contact")
    with CaptureQueriesContext(
        connection,
    ) as asked:
        found = selectors.column_tags_of([company.table(), *tables])
    assert len(asked) == 1
    assert [key for key, tags in found.items() if tags] == [company.column("email").key]


def test_it_names_a_valued_tag_with_and_without_its_value(company: Company) -> None:
    owner, email = company.actors["owner"], company.column("email")
    governance.assign_tag(actor=owner, securable=email, tag="sensitivity", value="low")
    governance.assign_tag(actor=owner, securable=email, tag="sensitivity", value="high")
    tags = selectors.assigned_tags_of([email])[email.key]
    assert tags == {"sensitivity", "sensitivity=high"}
    assert shown(tags) == ["sensitivity=high"]
    record = AuditRecord.objects.filter(event=Event.TAG_ASSIGNED).latest("id")
    assert (record.before, record.after) == (["sensitivity=low"], ["sensitivity=high"])
    assert record.target_label == "flights.main.flights.email"
    governance.remove_tag(actor=owner, securable=email, tag="sensitivity")
    assert not TagAssignment.objects.exists()


@pytest.mark.parametrize("value", ["High", "a b", "=", "x" * 61])
def test_it_refuses_what_is_not_a_value(company: Company, value: str) -> None:
    with pytest.raises(Invalid):
        governance.assign_tag(
            actor=company.actors["owner"],
            securable=company.column("email"),
            tag="sensitivity",
            value=value,
        )
    assert not TagAssignment.objects.exists()


def test_it_lets_no_analyst_tag_a_column(company: Company) -> None:
    with pytest.raises(governance.AccessDenied):
        governance.assign_tag(
            actor=company.actors["analyst"], securable=company.column("email"), tag="contact"
        )
