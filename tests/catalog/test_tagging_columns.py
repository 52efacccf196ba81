"""Tags of columns over the API: they follow the column through renames, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.domain import Actor
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake

TABLE = "/api/v1/workspaces/flight-ops/catalogs/lake/tables/main"


@pytest.fixture
def steward(cast: Cast, signed_in: Callable[[Actor], Client]) -> Client:
    """Return the steward, signed in."""
    return signed_in(cast.actor("steward"))


def tags(client: Client, table: str) -> dict[str, list[str]]:
    """Return the effective tags of every column by its name."""
    found = client.get(f"{TABLE}/{table}/tags").json()["columns"]
    return {column["column"]: column["effective"] for column in found}


def test_it_follows_columns_and_tables_through_renames(
    written_lake: WrittenLake, steward: Client
) -> None:
    written_lake.run("CREATE TABLE t (id BIGINT, info STRUCT(iban VARCHAR, city VARCHAR))")
    answer = steward.put(
        f"{TABLE}/t/columns/info.iban/tags/sensitivity",
        {"value": "high"},
        content_type="application/json",
    )
    assert answer.json() == {"assigned": ["sensitivity=high"], "effective": ["sensitivity=high"]}
    assert steward.put(f"{TABLE}/t/columns/ID/tags/key").status_code == 200
    written_lake.run(
        "ALTER TABLE t RENAME TO moved",
        "ALTER TABLE moved RENAME COLUMN info.iban TO account",
        "ALTER TABLE moved RENAME COLUMN id TO number",
        "ALTER TABLE moved ADD COLUMN id BIGINT",
    )
    assert tags(steward, "moved") == {
        "number": ["key"],
        "info": [],
        "info.account": ["sensitivity=high"],
        "info.city": [],
        "id": [],
    }


def test_it_names_the_nearest_column(written_lake: WrittenLake, steward: Client) -> None:
    written_lake.run("CREATE TABLE t (email VARCHAR)")
    problem = steward.put(f"{TABLE}/t/columns/emial/tags/contact").json()
    assert (problem["code"], problem["hint"]) == ("unknown-column", "Did you mean email?")


def test_it_keeps_what_is_said_of_tables_and_columns(
    written_lake: WrittenLake, steward: Client
) -> None:
    written_lake.run("CREATE TABLE t (id BIGINT, email VARCHAR)")
    said = (
        (f"{TABLE}/t", {"description": "Who flies with us.", "classification": "internal"}),
        (f"{TABLE}/t/columns/email", {"classification": "restricted"}),
        (f"{TABLE}/t/columns/id", {"description": "Counts up.", "classification": "public"}),
    )
    for address, body in said:
        answer = steward.patch(f"{address}/details", body, content_type="application/json")
        assert answer.status_code == 200, answer.content
    written_lake.run("ALTER TABLE t RENAME COLUMN email TO mail")
    found = steward.get(f"{TABLE}/t/details").json()
    assert (found["description"], found["classification"]) == ("Who flies with us.", "internal")
    columns = {column.pop("column"): tuple(column.values()) for column in found["columns"]}
    assert columns == {
        "id": ("Counts up.", "public", "internal"),
        "mail": ("", "restricted", "restricted"),
    }
    assert tags(steward, "t")["mail"] == ["classification=internal", "classification=restricted"]
    steward.patch(
        f"{TABLE}/t/columns/mail/details", {"classification": ""}, content_type="application/json"
    )
    assert tags(steward, "t")["mail"] == ["classification=internal"]


def test_it_refuses_a_classification_that_there_is_not(
    written_lake: WrittenLake, steward: Client
) -> None:
    written_lake.run("CREATE TABLE t (id BIGINT)")
    answer = steward.patch(
        f"{TABLE}/t/details", {"classification": "secret"}, content_type="application/json"
    )
    assert answer.json()["hint"] == "Use one of: public, internal, confidential, restricted."


PAGE = "/w/flight-ops/catalog/lake/main/t"


def test_it_shows_and_takes_what_is_said_on_the_tables_page(
    written_lake: WrittenLake, steward: Client, cast: Cast, signed_in: Callable[[Actor], Client]
) -> None:
    written_lake.run("CREATE TABLE t (id BIGINT, info STRUCT(iban VARCHAR, city VARCHAR))")
    form = {"description": "Who flies.", "classification": "internal", "tags": "finance"}
    assert steward.post(f"{PAGE}/describe", form).status_code == 302
    iban = {"column": "3", "description": "", "classification": "restricted", "tags": "bank x=1"}
    assert steward.post(f"{PAGE}/describe", iban).status_code == 302
    assert tags(steward, "t")["info.iban"] == [
        "bank",
        "classification=internal",
        "classification=restricted",
        "finance",
        "x=1",
    ]
    page = steward.get(f"{PAGE}?column=3").content.decode()
    for shown in (
        "Who flies.",
        "info.iban",
        'value="bank x=1"',
        '"restricted" selected',
        ">finance",
    ):
        assert shown in page
    reader = signed_in(cast.actor("analyst"))
    assert "describe-text" not in reader.get(f"{PAGE}?column=3&describe").content.decode()
    assert reader.post(f"{PAGE}/describe", form).status_code == 403


def test_it_changes_nothing_where_one_of_the_tags_is_wrong(
    written_lake: WrittenLake, steward: Client
) -> None:
    written_lake.run("CREATE TABLE t (id BIGINT)")
    form = {"description": "Who flies.", "classification": "internal", "tags": "good Not-Good"}
    answer = steward.post(f"{PAGE}/describe", form)
    assert (answer.status_code, "Nothing was changed" in answer.content.decode()) == (422, True)
    found = steward.get(f"{TABLE}/t/details").json()
    assert (found["description"], found["classification"]) == ("", "")
    assert tags(steward, "t") == {"id": []}
