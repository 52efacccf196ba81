"""A table's page as somebody else sees it: permitted, recorded, no more than one sees oneself."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
from django.test import Client
from django.urls import reverse

from accounts.domain import Actor
from audit.domain import Event
from audit.models import AuditRecord
from governance.domain import PolicyKind, Securable
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake
from tests.catalog.test_listing import hold
from tests.governance.publishing import mask, publish
from workspaces.models import Workspace

SignedIn = Callable[[Actor], Client]
ADDRESS = "/w/{}/catalog/lake/main/people"
FOR_OWNERS = [{"kind": "role", "key": "owner"}]
FOR_ANALYSTS = [{"kind": "role", "key": "analyst"}]


@pytest.fixture
def people(written_lake: WrittenLake) -> Securable:
    """Create a table with values that bounds would tell."""
    written_lake.run(
        "CREATE TABLE people (id INTEGER, email VARCHAR, salary INTEGER)",
        "INSERT INTO people SELECT range, 'zoe@air.example', 4711 + range FROM range(2000)",
        "CREATE TABLE secrets (id INTEGER)",
    )
    return written_lake.table("people").securable(written_lake.catalog.securable)


def looked(client: Client, workspace: Workspace, principal: str) -> tuple[int, str]:
    """Return the status and text of the page as somebody else sees it."""
    found = client.get(ADDRESS.format(workspace.slug), {"as": principal})
    return found.status_code, found.content.decode()


def test_it_shows_the_page_as_another_sees_it_and_the_ledger_says_so(
    cast: Cast, owner: Actor, workspace: Workspace, people: Securable, signed_in: SignedIn
) -> None:
    _, email, salary = people.columns
    publish(cast, "no-mail", PolicyKind.MASK, people, mask(email, spared=FOR_OWNERS))
    hidden = mask(salary, method="hide", spared=FOR_OWNERS)
    publish(cast, "no-pay", PolicyKind.MASK, people, hidden)
    client, analyst = signed_in(owner), cast.users["analyst"]
    own = client.get(ADDRESS.format(workspace.slug)).content.decode()
    assert "zoe@air.example" in own
    assert "salary" in own
    for principal in (analyst.email, str(analyst.id)):
        status, text = looked(client, workspace, principal)
        assert status == 200
        assert f"You look as {analyst.email}." in text
        assert "no-mail" in text
        for kept_back in ("salary", "zoe@air.example", "4711"):
            assert kept_back not in text
        for done_from_it in ("data-compare", "data-profile", 'id="upload"', "?describe"):
            assert done_from_it in own
            assert done_from_it not in text
    row = AuditRecord.objects.filter(event=Event.DECISION_VIEWED_AS).first()
    assert row is not None
    assert row.after is not None
    assert row.actor_id == owner.id
    assert row.after["looked_at"] == f"the page of {people.label}"
    assert row.after["principal"]["label"] == analyst.email


def test_it_links_from_the_list_of_tables_to_their_pages_as_another_sees_them(
    cast: Cast, owner: Actor, workspace: Workspace, people: Securable, signed_in: SignedIn
) -> None:
    client, analyst = signed_in(owner), cast.users["analyst"]
    listed = client.get(
        reverse("page-view-as", args=[workspace.slug]), {"principal": analyst.email}
    )
    found = re.findall(r'href="(/w/[^"]+people\?as=[^"]+)"', listed.content.decode())
    assert found == [f"{ADDRESS.format(workspace.slug)}?as={quote(analyst.email)}"]
    assert f"You look as {analyst.email}." in client.get(found[0]).content.decode()


def test_it_tells_nothing_that_one_is_not_shown_oneself(
    cast: Cast, owner: Actor, workspace: Workspace, people: Securable, signed_in: SignedIn
) -> None:
    hidden = mask(people.columns[2], method="hide", spared=FOR_ANALYSTS)
    publish(cast, "no-pay", PolicyKind.MASK, people, hidden)
    client, analyst = signed_in(owner), cast.users["analyst"]
    theirs = signed_in(cast.actor("analyst")).get(ADDRESS.format(workspace.slug))
    assert "4711" in theirs.content.decode()
    status, text = looked(client, workspace, analyst.email)
    assert status == 200
    for kept_back in ("salary", "4711", "zoe@air.example"):
        assert kept_back not in text


def test_it_says_that_for_them_there_is_no_such_table(
    cast: Cast, owner: Actor, workspace: Workspace, people: Securable, signed_in: SignedIn
) -> None:
    forbid = (
        'forbid (principal, action == Action::"catalog.browse", resource)'
        ' unless { principal.workspace_roles.contains("owner") };'
    )
    hold(workspace, "unseen", people, forbid, about=people.key)
    status, text = looked(signed_in(owner), workspace, cast.users["analyst"].email)
    assert status == 200
    assert f"there is no table {people.label}" in text
    assert "lake.main.secrets" not in text  # no name that they would be offered instead


def test_it_takes_a_permission_and_somebody_to_look_as(
    cast: Cast, owner: Actor, workspace: Workspace, people: Securable, signed_in: SignedIn
) -> None:
    analyst = signed_in(cast.actor("analyst"))
    assert 'href="?as="' not in analyst.get(ADDRESS.format(workspace.slug)).content.decode()
    assert looked(analyst, workspace, owner.label)[0] == 403
    client = signed_in(owner)
    assert 'href="?as="' in client.get(ADDRESS.format(workspace.slug)).content.decode()
    status, text = looked(client, workspace, "")
    assert (status, cast.users["analyst"].email in text) == (200, True)
    status, text = looked(client, workspace, "nobody@nowhere.example")
    assert "Nobody called" in text
    assert not AuditRecord.objects.filter(event=Event.DECISION_VIEWED_AS).exists()
    unknown = client.get(ADDRESS.format(workspace.slug) + "x", {"as": cast.users["analyst"].email})
    assert unknown.status_code == 404
    assert not AuditRecord.objects.filter(event=Event.DECISION_VIEWED_AS).exists()
    assert people
