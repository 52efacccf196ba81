"""Looking as somebody else: who may, what they are, what is recorded, and what is not told."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.domain import Actor
from audit.domain import Event
from audit.models import AuditRecord
from execution.domain import Place, RequestedPlace
from execution.services.viewing import SeesMore, explain_query_as
from governance import services as governance
from governance.domain import Action, PolicyKind
from governance.models import Ownership, Policy, PolicySet, PolicyVersion
from governance.services import viewing
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake, written_lake
from workspaces.models import Workspace

from .conftest import Company
from .publishing import mask, publish

__all__ = ["written_lake"]


def test_it_is_them_without_device_second_factor_or_token(company: Company) -> None:
    owner = company.on("owner", None)
    for name in ("analyst", "agent"):
        found = viewing.view_as(
            actor=owner,
            workspace=company.workspace,
            principal=company.actors[name].label.upper(),
            looked_at="a test",
        )
        assert (found.id, found.kind) == (company.actors[name].id, company.actors[name].kind)
        assert (found.device, found.scopes, found.mfa, found.address) == (None, None, False, "")
    row = AuditRecord.objects.filter(event=Event.DECISION_VIEWED_AS).first()
    assert row is not None
    assert row.after is not None
    assert (row.actor_id, row.after["looked_at"]) == (owner.id, "a test")
    assert row.after["principal"]["label"] == "agent"


@pytest.mark.parametrize("role", ["steward", "analyst", "auditor", "agent", "admin"])
def test_it_takes_a_permission_and_says_nothing_without(company: Company, role: str) -> None:
    with pytest.raises(governance.AccessDenied):
        viewing.view_as(
            actor=company.actors[role],
            workspace=company.workspace,
            principal="nobody",
            looked_at="a test",
        )
    assert not AuditRecord.objects.filter(event=Event.DECISION_VIEWED_AS).exists()


def test_it_finds_only_who_may_act_in_the_workspace(company: Company, stranger: Actor) -> None:
    for name in (stranger.label, str(stranger.id), "", company.actors["member"].label):
        with pytest.raises(viewing.UnknownPrincipal):
            viewing.view_as(
                actor=company.actors["owner"],
                workspace=company.workspace,
                principal=name,
                looked_at="a test",
            )


def test_it_decides_and_plans_as_another_who_sees_no_more(
    cast: Cast, signed_in: object, owner: Actor, workspace: Workspace, written_lake: WrittenLake
) -> None:
    written_lake.run("CREATE TABLE people (id INTEGER, email VARCHAR)")
    securable = written_lake.table("people").securable(written_lake.catalog.securable)
    sql = "SELECT email FROM people"
    auditor, agent = cast.users["auditor"], cast.agent

    def explain(name: str) -> str:
        viewed = explain_query_as(
            actor=owner, workspace=workspace, principal=name, sql=sql,
            requested=RequestedPlace.AUTO, default_catalog="lake",
        )  # fmt: skip
        assert viewed.plan.placement.place is Place.SERVER
        return viewed.viewed_as.label

    assert explain(agent.name) == agent.name
    with pytest.raises(governance.AccessDenied) as refused:
        explain(auditor.email)
    assert refused.value.denial is None  # the auditor asked nothing
    policy = Policy.objects.create(
        workspace=workspace, name="m", kind=PolicyKind.MASK, scope_key=securable.key,
        scope_label=securable.label,
    )  # fmt: skip
    spared = [{"kind": "service_account", "key": str(agent.id)}]
    compiled = mask(securable.columns[1], spared=spared)
    PolicyVersion.objects.create(
        policy=policy, number=1, state="published", text="-", compiled=compiled
    )
    PolicySet.objects.create(workspace=workspace)
    with pytest.raises(SeesMore):
        explain(agent.name)
    assert explain(cast.users["analyst"].email)  # is shown the same

    client: Client = signed_in(owner)  # type: ignore[operator]
    base = f"/api/v1/workspaces/{workspace.slug}/catalogs/lake/tables/main/people/decisions"
    body = client.get(f"{base}?as={agent.name}").json()
    assert body["viewed_as"] == {
        "kind": "service_account", "id": str(agent.id), "name": agent.name
    }  # fmt: skip
    by_action = {one["action"]: one for one in body["results"]}
    assert by_action[Action.TABLE_QUERY]["allowed"]
    assert by_action[Action.TABLE_QUERY]["masks"] == []
    assert not by_action[Action.CATALOG_MANAGE]["allowed"]
    own = client.get(base).json()
    assert own["viewed_as"] is None
    plan = client.post(
        f"/api/v1/workspaces/{workspace.slug}/plans?as={cast.users['analyst'].email}",
        {"sql": sql, "catalog": "lake"},
        content_type="application/json",
    ).json()
    assert plan["viewed_as"]["name"] == cast.users["analyst"].email


def test_it_shows_who_may_do_what_to_who_answers_for_the_table(
    cast: Cast, signed_in: Callable[[Actor], Client], owner: Actor, written_lake: WrittenLake
) -> None:
    written_lake.run("CREATE TABLE people (id INTEGER, email VARCHAR)")
    securable = written_lake.table("people").securable(written_lake.catalog.securable)
    spared = [{"kind": "user", "key": str(owner.id)}]
    compiled = mask(securable.columns[1], spared=spared)
    publish(cast, "e-mails", PolicyKind.MASK, securable, compiled)
    address = f"/w/{cast.workspace.slug}/access/who?on=lake.main.people"
    page = signed_in(owner).get(address)
    assert page.status_code == 200
    seen = {one.principal.actor.label: one for one in page.context["holders"]}
    assert seen[owner.label].sight.is_whole
    assert {word for word, _ in seen[owner.label].others} >= {"append", "publish policies"}
    analyst = seen[cast.users["analyst"].email]
    assert analyst.sight.masked == [("email", "e-mails")]
    assert analyst.others == ()
    assert not seen[cast.users["auditor"].email].sight.query.allowed
    row = AuditRecord.objects.filter(event=Event.DECISION_VIEWED_AS).latest("id")
    assert row.after is not None
    assert row.after["looked_at"] == "who may do what with lake.main.people"

    reader = cast.actor("analyst")
    assert signed_in(reader).get(address).status_code == 403
    Ownership.objects.create(
        organization=cast.organization, securable_key=securable.key, owner=cast.users["analyst"]
    )
    assert signed_in(reader).get(address).status_code == 200
    assert signed_in(reader).get(address.replace("people", "others")).status_code == 404
