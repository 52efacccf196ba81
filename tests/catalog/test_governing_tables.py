"""Tags and decisions over the API: who may change them, and what they change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.domain import Actor, Scope
from audit.domain import Event
from audit.models import AuditRecord
from catalog import services as catalogs
from tests.cast import Cast
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

CATALOG = "/api/v1/workspaces/flight-ops/catalogs/flights"
TABLE = f"{CATALOG}/tables/main/t"
ACTORS = ("owner", "steward", "analyst", "agent", "auditor", "outsider", "nobody")
ACCESS: list[tuple[str, str, tuple[int, ...]]] = [
    ("PUT", f"{TABLE}/tags/finance", (200, 200, 403, 403, 403, 404, 401)),
    ("DELETE", f"{TABLE}/tags/finance", (200, 422, 403, 403, 403, 404, 401)),
    ("PUT", f"{CATALOG}/tags/internal", (200, 200, 403, 403, 403, 404, 401)),
    ("DELETE", f"{CATALOG}/tags/internal", (200, 422, 403, 403, 403, 404, 401)),
    ("GET", f"{TABLE}/tags", (200, 200, 200, 200, 200, 404, 401)),
    ("PUT", f"{TABLE}/columns/a/tags/finance", (200, 200, 403, 403, 403, 404, 401)),
    ("DELETE", f"{TABLE}/columns/a/tags/finance", (200, 422, 403, 403, 403, 404, 401)),
    ("GET", f"{CATALOG}/details", (200, 200, 200, 200, 200, 404, 401)),
    ("PATCH", f"{CATALOG}/details", (200, 200, 403, 403, 403, 404, 401)),
    ("GET", f"{TABLE}/details", (200, 200, 200, 200, 200, 404, 401)),
    ("PATCH", f"{TABLE}/details", (200, 200, 403, 403, 403, 404, 401)),
    ("PATCH", f"{TABLE}/columns/a/details", (200, 200, 403, 403, 403, 404, 401)),
    ("GET", f"{TABLE}/decisions", (200, 200, 200, 200, 200, 404, 401)),
]


@pytest.fixture
def table(
    cast: Cast, workspace: Workspace, owner: Actor, signed_in: Callable[[Actor], Client]
) -> str:
    """Load a table and return its address."""
    catalog = catalogs.create_catalog(actor=owner, workspace=workspace, name="flights")
    assert catalogs.run_jobs(catalog.id) == 1  # the lake is there
    form = {"table": "t", "file": SimpleUploadedFile("my.csv", b"a,b\n1,x\n")}
    assert signed_in(owner).post(f"{CATALOG}/uploads", form).status_code == 202
    assert catalogs.run_jobs(catalog.id) == 1
    return TABLE


def test_it_answers_each_actor(
    cast: Cast, table: str, signed_in: Callable[[Actor], Client]
) -> None:
    found, expected = {}, {}
    for verb, path, statuses in ACCESS:
        for actor, status in zip(ACTORS, statuses, strict=True):
            client = Client() if actor == "nobody" else signed_in(cast.actor(actor))
            found[verb, path, actor] = client.generic(verb, path).status_code
            expected[verb, path, actor] = status
    assert found == expected


def decisions(client: Client) -> dict[str, Any]:
    answers = client.get(f"{TABLE}/decisions").json()["results"]
    return {answer["action"]: answer for answer in answers}


def test_it_says_what_a_tag_of_the_catalog_changes_for_a_table(
    cast: Cast, table: str, signed_in: Callable[[Actor], Client]
) -> None:
    steward = signed_in(cast.actor("steward"))
    answer = steward.put(f"{CATALOG}/tags/personal-data").json()
    assert answer == {"assigned": ["personal-data"], "effective": ["personal-data"]}
    own = steward.put(f"{table}/tags/finance").json()
    assert own == {"assigned": ["finance"], "effective": ["finance", "personal-data"]}
    found = decisions(steward)
    assert list(found) == sorted(found)
    assert found["table.query"]["allowed"]
    local = found["table.materialize_locally"]
    assert not local["allowed"]
    assert local["reason"] == "Tables tagged personal-data never leave the server."
    assert [p["name"] for p in local["determined_by"]] == [
        "personal-data-stays-on-the-server",
        "device-must-be-approved",
    ]


def test_it_records_a_refused_tag_once_with_its_decision(
    cast: Cast, table: str, signed_in: Callable[[Actor], Client]
) -> None:
    answer = signed_in(cast.actor("analyst")).put(f"{table}/tags/finance")
    problem = answer.json()
    assert (problem["code"], problem["status"]) == ("access-denied", 403)
    record = AuditRecord.objects.get(event=Event.DECISION_DENIED)
    assert record.decision == problem["decision"]
    assert record.request_id == problem["request_id"]


def test_it_refuses_a_token_that_may_only_read(
    cast: Cast, table: str, bearer: Callable[..., dict[str, str]]
) -> None:
    client = Client(headers=bearer(cast.actor("owner"), Scope.CATALOG_READ))
    assert client.put(f"{table}/tags/finance").json()["code"] == "insufficient-scope"
    found = decisions(client)
    assert [p["name"] for p in found["table.query"]["determined_by"]] == ["token-cannot-query"]


def test_it_refuses_what_is_not_a_tag(
    cast: Cast, table: str, signed_in: Callable[[Actor], Client]
) -> None:
    problem = signed_in(cast.actor("owner")).put(f"{table}/tags/Personal%20Data").json()
    assert (problem["code"], problem["status"]) == ("invalid", 422)
