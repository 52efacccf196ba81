"""A governed table goes to a device as an extract: the rows of the server, for whom they are."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.utils import timezone

from accounts.domain import Actor
from audit.models import AuditRecord
from catalog import storage
from execution import services
from execution.authorization import PoliciesChanged
from execution.domain import QueryState
from execution.models import Extract, Grant, Query
from execution.services import extract_expiry
from execution.services.files import FileRefused
from governance.domain import Action, PolicyKind
from governance.services import assign_tag
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake, written_lake
from tests.execution import governed
from tests.execution.governed import Laptop, ask, mask, on_device, on_server, row_filter
from tests.governance.publishing import access
from workspaces.models import Workspace

__all__ = ["written_lake"]

PEOPLE = "SELECT id, region, email FROM people ORDER BY id"
SECRET = re.compile(r"@hidden|SSN|US")


@pytest.fixture
def laptop(cast: Cast, analyst: Actor) -> Laptop:
    return governed.laptop_of(cast, "analyst")


@pytest.fixture
def people(written_lake: WrittenLake) -> WrittenLake:
    """A table of which nobody sees an address, half of the rows, or the column ssn."""
    written_lake.run(
        "CALL lake.set_option('data_inlining_row_limit', 0)",
        "CREATE TABLE people AS SELECT i::INTEGER AS id, ['EU', 'US'][1 + i % 2] AS region, "
        "'p' || i || '@hidden.example' AS email, 'SSN' || i AS ssn FROM range(1000) r(i)",
        "DELETE FROM people WHERE id % 10 = 4",
        "CALL lake.set_option('data_inlining_row_limit', 100)",
        "INSERT INTO people VALUES (5000, 'EU', 'late@hidden.example', 'SSN')",
    )
    governed.in_storage(written_lake)
    mask(written_lake, "people", "email", method="email_domain")
    mask(written_lake, "people", "ssn", method="hide")
    row_filter(written_lake, "people", "region = 'EU'")
    return written_lake


def events() -> list[str]:
    return list(AuditRecord.objects.order_by("id").values_list("event", flat=True))


def states() -> list[str]:
    return list(Extract.objects.order_by("created_at").values_list("state", flat=True))


def keys_of(workspace: Workspace) -> list[str]:
    return storage.hosted().keys(f"extracts/{workspace.id}/")


# --- From submission to rows ------------------------------------------------------------------
def test_it_gives_the_same_rows_on_the_device_as_on_the_server(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    rows = on_device(laptop, workspace, PEOPLE)
    assert rows == on_server(laptop.actor, workspace, PEOPLE)
    assert len(rows) == 401
    assert rows[-1] == ["5000", "EU", "hidden.example"]


def test_it_hands_out_one_file_that_holds_nothing_hidden(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    query = ask(laptop.actor, workspace, "SELECT count(email) FROM people")
    assert query.state == QueryState.PREPARING
    services.write_extracts("test")
    query.refresh_from_db()
    body = governed.manifest_of(laptop, query)
    (one,) = body["slices"]
    assert len(one["files"]) == 1
    assert not one["inlined"]
    assert "row_filter" not in one["views"][0]
    assert not SECRET.search(str(one).replace("USE", ""))
    (key,) = keys_of(workspace)
    content = storage.hosted().read(key)
    assert not re.search(rb"p\d+@|late@|SSN|US", content)
    file = pq.ParquetFile(io.BytesIO(content))
    assert file.schema_arrow.names == ["id", "region", "email"]


def test_it_begins_at_once_where_an_extract_is_ready(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    on_device(laptop, workspace, PEOPLE)
    query = ask(laptop.actor, workspace, "SELECT region FROM people WHERE id < 10")
    assert query.state == QueryState.DELEGATED
    assert query.plan["extracts"][0]["text"].endswith("ready")
    assert governed.rows_of(laptop, query) == [["EU"]] * 4
    assert states() == ["ready"]


def test_it_says_in_the_plan_what_it_would_read(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    def explained() -> dict[str, Any]:
        plan = services.explain_query(actor=laptop.actor, workspace=workspace, sql=PEOPLE)
        return plan.as_dict()

    before = explained()
    assert re.fullmatch(r"extract, about \d\.\d s to prepare", before["extracts"][0]["text"])
    assert states() == []
    on_device(laptop, workspace, PEOPLE)
    after = explained()
    assert re.fullmatch(r"extract, \d[\d.]* kB, ready", after["extracts"][0]["text"])
    assert "extract" in {reason["code"] for reason in after["reasons"]}
    assert after["local_seconds"] < before["local_seconds"]


def test_it_reads_a_governed_table_beside_an_open_one(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    people.run("CREATE TABLE names AS SELECT i::INTEGER AS id, 'n' || i AS name FROM range(9) r(i)")
    governed.in_storage(people)
    sql = "SELECT p.id, p.email, n.name FROM people p JOIN names n USING (id) ORDER BY id"
    rows = on_device(laptop, workspace, sql)
    assert rows == on_server(laptop.actor, workspace, sql)
    assert len(rows) == 4


def test_it_stands_for_an_open_table_whose_files_must_stay(
    written_lake: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    written_lake.run("CREATE TABLE names AS SELECT i AS id, 'n' || i AS name FROM range(99) r(i)")
    governed.in_storage(written_lake)
    text = 'forbid (principal, action == Action::"table.materialize_locally", resource);'
    scope = governed.table_of(written_lake, "names")
    governed.publish(workspace, "files-stay", PolicyKind.ACCESS, scope, access(text))
    sql = "SELECT name FROM names WHERE id > 90 ORDER BY id"
    assert on_device(laptop, workspace, sql) == on_server(laptop.actor, workspace, sql)
    assert states() == ["ready"]


# --- Whose it is ------------------------------------------------------------------------------
def test_it_shares_an_extract_between_people_with_the_same_rights_and_no_others(
    people: WrittenLake, workspace: Workspace, laptop: Laptop, cast: Cast
) -> None:
    steward, owner = governed.laptop_of(cast, "steward"), governed.laptop_of(cast, "owner")
    mask(people, "people", "region", spared=[{"kind": "user", "key": str(owner.actor.id)}])
    on_device(laptop, workspace, PEOPLE)
    on_device(steward, workspace, PEOPLE)
    assert len(states()) == 1
    (first, *_) = on_device(owner, workspace, PEOPLE)
    assert (first[1], len(states())) == ("EU", 2)


def test_it_refuses_the_file_once_more_is_masked(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    on_device(laptop, workspace, PEOPLE)
    body = governed.manifest_of(laptop, ask(laptop.actor, workspace, PEOPLE))
    path = body["slices"][0]["files"][0]["path"]
    assert governed.address_of(body, path)
    mask(people, "people", "region")
    with pytest.raises(FileRefused, match="has changed"):
        governed.address_of(body, path)
    assert events()[-1] == "file.refused"


def test_it_refuses_the_file_once_extracts_are_forbidden(
    people: WrittenLake, workspace: Workspace, laptop: Laptop, steward: Actor
) -> None:
    on_device(laptop, workspace, PEOPLE)
    body = governed.manifest_of(laptop, ask(laptop.actor, workspace, PEOPLE))
    assign_tag(actor=steward, securable=people.catalog.securable, tag="personal-data")
    with pytest.raises(FileRefused) as refused:
        governed.address_of(body, body["slices"][0]["files"][0]["path"])
    assert refused.value.denial is None  # recorded already
    record = AuditRecord.objects.get(event="file.refused")
    assert record.decision
    assert record.decision["action"] == Action.TABLE_MATERIALIZE_EXTRACT


def test_it_issues_no_manifest_once_more_is_masked(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    on_device(laptop, workspace, PEOPLE)
    query = ask(laptop.actor, workspace, PEOPLE)
    mask(people, "people", "region")
    with pytest.raises(PoliciesChanged):
        services.issue_grant(actor=laptop.actor, query=query)


def test_it_makes_another_for_rights_that_changed(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    on_device(laptop, workspace, PEOPLE)
    mask(people, "people", "region")
    (first, *_) = on_device(laptop, workspace, PEOPLE)
    assert (first[1], states()) == (None, ["ready", "ready"])


def test_it_makes_none_where_the_rights_ended_while_it_waited(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    query = ask(laptop.actor, workspace, PEOPLE)
    mask(people, "people", "region")
    services.write_extracts("test")
    query.refresh_from_db()
    assert query.state == QueryState.FAILED
    assert query.problem
    assert query.problem["code"] == "extract-refused"
    assert keys_of(workspace) == []


# --- When it ends -----------------------------------------------------------------------------
def test_it_serves_while_other_tables_change_and_no_longer_than_its_own_does(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    on_device(laptop, workspace, PEOPLE)
    people.run("CREATE TABLE other AS SELECT 1 AS one")
    assert ask(laptop.actor, workspace, PEOPLE).state == QueryState.DELEGATED
    assert services.expire_extracts() == {"expired": 0, "deleted": 0}
    people.run("INSERT INTO people VALUES (6000, 'EU', 'later@hidden.example', 'SSN')")
    governed.in_storage(people)
    assert on_device(laptop, workspace, PEOPLE)[-1][0] == "6000"
    assert services.expire_extracts()["expired"] == 1
    assert states() == ["expired", "ready"]


def test_it_keeps_the_object_until_no_grant_names_it(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    on_device(laptop, workspace, PEOPLE)
    (key,) = keys_of(workspace)
    Extract.objects.update(expires_at=timezone.now())
    assert services.expire_extracts() == {"expired": 1, "deleted": 0}
    Query.objects.update(state=QueryState.SUCCEEDED)
    Grant.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert services.expire_extracts() == {"expired": 0, "deleted": 1}
    assert key not in keys_of(workspace)
    assert events()[-1] == "extract.expired"


def test_it_ends_when_what_its_last_reader_sees_has_changed(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    on_device(laptop, workspace, PEOPLE)
    mask(people, "people", "region")
    assert services.expire_extracts()["expired"] == 1


def test_it_ends_the_longest_unused_for_want_of_room(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    on_device(laptop, workspace, PEOPLE)
    mask(people, "people", "region")
    on_device(laptop, workspace, PEOPLE)
    newest = Extract.objects.latest("created_at")
    Workspace.objects.update(max_stored_extract_bytes=newest.size_bytes)
    workspace.refresh_from_db()
    assert extract_expiry.make_room(workspace) == 1
    assert states() == ["expired", "ready"]
