"""What a query shows is what its reader may see, when it runs and each time it is read."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.domain import Actor
from audit.models import AuditRecord
from catalog import storage
from execution import services
from execution.authorization import PoliciesChanged
from execution.domain import QueryState, ResultFormat
from execution.models import Query
from governance.domain import PolicyKind, Securable, SecurableColumn
from governance.models import Policy
from governance.services.mask_keys import mask_key
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake, written_lake
from tests.governance.publishing import mask, publish, raise_version, row_filter
from workspaces.models import Workspace

__all__ = ["written_lake"]

pytestmark = pytest.mark.django_db(transaction=True)

SignedIn = Callable[[Actor], Client]
EVERYTHING = "SELECT id, email, agent FROM people ORDER BY id"
CANARIES = ("ana@canary.example", "ben@canary.example")
ROWS = [[1, CANARIES[0], "analyst@demo-air.example"], [2, CANARIES[1], "owner@demo-air.example"]]
OWNERS = ({"kind": "role", "key": "owner"},)
STEWARDS = ({"kind": "role", "key": "steward"},)


class People:
    """The table `lake.main.people`, and the policies about it."""

    def __init__(self, cast: Cast, written: WrittenLake) -> None:
        self.cast = cast
        self.table: Securable = written.table("people").securable(written.catalog.securable)

    def column(self, name: str) -> SecurableColumn:
        (found,) = (c for c in self.table.columns if c.name == name)
        return found

    def mask(self, name: str = "mask-email", **given: Any) -> Policy:
        compiled = mask(self.column("email"), **({"method": "null"} | given))
        return publish(self.cast, name, PolicyKind.MASK, self.table, compiled)

    def filter(self, *template: Any, spared: Any = ()) -> Policy:
        compiled = row_filter(*template, spared=spared)
        return publish(self.cast, "own-rows", PolicyKind.ROW_FILTER, self.table, compiled)

    def retire(self, policy: Policy) -> None:
        policy.delete()
        raise_version(self.cast)


@pytest.fixture
def people(cast: Cast, written_lake: WrittenLake) -> People:
    """Two rows in the lake's metadata: so few need no file."""
    values = ", ".join(f"({n}, '{email}', '{agent}')" for n, email, agent in ROWS)
    written_lake.run(
        "CREATE TABLE people (id INTEGER, email VARCHAR, agent VARCHAR)",
        f"INSERT INTO people VALUES {values}",
    )
    return People(cast, written_lake)


def submit(actor: Actor, workspace: Workspace, sql: str = EVERYTHING) -> Query:
    return services.submit_query(actor=actor, workspace=workspace, sql=sql).query


def ask(actor: Actor, workspace: Workspace, sql: str = EVERYTHING) -> Query:
    """Submit a query, and run it where it was not answered at once."""
    query = submit(actor, workspace, sql)
    if query.state == QueryState.QUEUED:
        services.run_query(query.id, worker="test")
        query.refresh_from_db()
    assert query.state == QueryState.SUCCEEDED, query.problem
    return query


def rows(actor: Actor, query: Query) -> list[list[Any]]:
    return services.read_page(actor=actor, query=Query.objects.get(id=query.id)).rows


# --- Answers ----------------------------------------------------------------------------------
def test_it_masks_for_everyone_but_those_it_is_not_for(
    people: People, analyst: Actor, owner: Actor, steward: Actor, workspace: Workspace
) -> None:
    people.mask(spared=OWNERS)
    masked, whole = ask(analyst, workspace), ask(owner, workspace)
    assert [row[1] for row in rows(analyst, masked)] == [None, None]
    assert rows(owner, whole) == ROWS
    assert whole.cached_from is None, "another's rows would be the masked ones"
    assert ask(steward, workspace).cached_from == masked, "who sees the same may share them"
    assert CANARIES[0] not in json.dumps([masked.plan, masked.execution, masked.footing])


def test_it_filters_by_who_asks(
    people: People, analyst: Actor, owner: Actor, steward: Actor, workspace: Workspace
) -> None:
    people.filter('"agent" = ', {"principal": "email"}, " -- their own")
    mine, theirs = ask(analyst, workspace), ask(owner, workspace)
    assert rows(analyst, mine) == ROWS[:1]
    assert rows(owner, theirs) == ROWS[1:]
    assert theirs.cached_from is None
    assert rows(steward, ask(steward, workspace)) == []


def test_it_shows_no_rows_to_who_has_not_the_attribute(
    people: People, analyst: Actor, workspace: Workspace
) -> None:
    people.filter('"agent" <> ', {"principal": "nobody-has-this"})
    assert rows(analyst, ask(analyst, workspace)) == []


def test_it_masks_by_the_key_of_the_organization_and_writes_it_nowhere(
    people: People, analyst: Actor, workspace: Workspace
) -> None:
    people.mask(method="hmac")
    query = ask(analyst, workspace)
    key = mask_key(workspace.organization_id)
    expected = [hmac.new(key, email.encode(), hashlib.sha256).hexdigest() for email in CANARIES]
    assert [row[1] for row in rows(analyst, query)] == expected
    assert ask(analyst, workspace).cached_from == query, "it is the same every time"
    written = [query.plan, query.execution, query.footing, query.problem]
    written += [[r.before, r.after, r.decision] for r in AuditRecord.objects.all()]
    assert key.hex() not in json.dumps(written)
    assert "mask_hmac" in json.dumps(query.execution)


# --- What changes meanwhile -------------------------------------------------------------------
def test_it_does_not_run_what_was_planned_under_other_policies(
    people: People, analyst: Actor, workspace: Workspace
) -> None:
    query = submit(analyst, workspace)
    people.mask()
    services.run_query(query.id, worker="test")
    query.refresh_from_db()
    assert query.state == QueryState.FAILED
    assert query.problem is not None
    assert query.problem["code"] == "policies-changed"
    assert "lake.main.people" in query.problem["detail"]
    assert not storage.hosted().keys(f"results/{query.workspace_id}/{query.id}")


@pytest.mark.parametrize("form", [ResultFormat.JSON, ResultFormat.ARROW, ResultFormat.CSV])
def test_it_does_not_hand_out_what_is_masked_since(
    people: People,
    analyst: Actor,
    workspace: Workspace,
    signed_in: SignedIn,
    form: ResultFormat,
) -> None:
    query = ask(analyst, workspace)
    address = f"/api/v1/workspaces/flight-ops/queries/{query.id}/result?format={form}"
    policy = people.mask()
    answer = signed_in(analyst).get(address)
    assert (answer.status_code, answer.json()["code"]) == (409, "policies-changed")
    assert CANARIES[0] not in answer.content.decode()
    record = AuditRecord.objects.filter(event="decision.denied").latest("recorded_at")
    assert record.decision is not None
    assert record.decision["masks"] == ["email"]
    seen = signed_in(analyst).get(f"{address.partition('/result')[0]}?include=result_url")
    assert (seen.status_code, seen.json()["result_url"]) == (200, "")
    people.retire(policy)
    assert rows(analyst, query) == ROWS


def test_it_hands_a_result_to_others_only_where_they_see_as_much(
    people: People, analyst: Actor, owner: Actor, steward: Actor, workspace: Workspace
) -> None:
    people.mask(spared=STEWARDS)
    masked, whole = ask(analyst, workspace), ask(steward, workspace)
    assert rows(owner, masked) == rows(steward, masked) == rows(analyst, masked)
    with pytest.raises(PoliciesChanged):
        rows(owner, whole)


def test_it_stands_on_the_columns_of_the_plan(
    people: People, analyst: Actor, workspace: Workspace
) -> None:
    people.mask()
    query = ask(analyst, workspace)
    before = rows(analyst, query)
    recorded = Query.objects.get(id=query.id).footing[people.table.key]["columns"]
    assert [path for _, path, _ in recorded] == [["id"], ["email"], ["agent"]]
    Query.objects.filter(id=query.id).update(footing={})
    with pytest.raises(PoliciesChanged):
        rows(analyst, query)
    assert before == [[1, None, ROWS[0][2]], [2, None, ROWS[1][2]]]
