"""Who may do what, by the role defaults, through the one call every room makes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.domain import SYSTEM, Actor, DeviceIdentity, Scope
from accounts.models import Group
from governance import services as governance
from governance.domain import Action, Request, SecurableKind
from governance.engine import ROLE_DEFAULTS_VERSION
from governance.models import Ownership, TagAssignment
from workspaces.domain import WorkspaceRole
from workspaces.models import Membership, Workspace

from .conftest import APPROVED, PENDING, REVOKED, Company

ALL_ON = {
    "organization": [
        Action.AUDIT_READ,
        Action.DEVICE_MANAGE,
        Action.MEMBER_MANAGE,
        Action.TAG_DEFINE,
        Action.WORKSPACE_MANAGE,
    ],
    "workspace": [
        Action.AUDIT_READ,
        Action.BUCKET_MANAGE,
        Action.CATALOG_BROWSE,
        Action.CATALOG_CREATE,
        Action.MEMBER_MANAGE,
        Action.POLICY_AUTHOR,
        Action.POLICY_PUBLISH,
        Action.POLICY_VIEW_AS,
        Action.QUERY_MANAGE,
        Action.TABLE_TAG,
        Action.WORKSPACE_MANAGE,
        Action.WORKSPACE_QUERY,
    ],
    "catalog": [
        Action.CATALOG_BROWSE,
        Action.CATALOG_MANAGE,
        Action.POLICY_AUTHOR,
        Action.POLICY_PUBLISH,
        Action.TABLE_ALTER,
        Action.TABLE_CREATE,
        Action.TABLE_MAINTAIN,
        Action.TABLE_TAG,
    ],
    "table": [
        Action.CATALOG_BROWSE,
        Action.CATALOG_MANAGE,
        Action.POLICY_AUTHOR,
        Action.POLICY_PUBLISH,
        Action.TABLE_ALTER,
        Action.TABLE_APPEND,
        Action.TABLE_MAINTAIN,
        Action.TABLE_MATERIALIZE_EXTRACT,
        Action.TABLE_MATERIALIZE_LOCALLY,
        Action.TABLE_MODIFY,
        Action.TABLE_QUERY,
        Action.TABLE_TAG,
    ],
    "column": [Action.CATALOG_MANAGE, Action.TABLE_TAG],
}
"""Every action on every kind of thing it is about."""

ANALYSIS = {Action.CATALOG_BROWSE, Action.TABLE_QUERY, Action.WORKSPACE_QUERY}
LOCAL = {Action.TABLE_MATERIALIZE_EXTRACT, Action.TABLE_MATERIALIZE_LOCALLY}
CURATION = {
    Action.AUDIT_READ,
    Action.POLICY_AUTHOR,
    Action.TABLE_ALTER,
    Action.TABLE_APPEND,
    Action.TABLE_CREATE,
    Action.TABLE_MAINTAIN,
    Action.TABLE_MODIFY,
    Action.TABLE_TAG,
}
INSPECTION = {Action.AUDIT_READ, Action.CATALOG_BROWSE}
ADMINISTRATION = INSPECTION | {
    Action.BUCKET_MANAGE,
    Action.CATALOG_CREATE,
    Action.CATALOG_MANAGE,
    Action.DEVICE_MANAGE,
    Action.MEMBER_MANAGE,
    Action.QUERY_MANAGE,
    Action.TABLE_MAINTAIN,
    Action.TAG_DEFINE,
    Action.WORKSPACE_MANAGE,
}
IN_WORKSPACE = {
    "owner": set(Action),
    "steward": ANALYSIS | CURATION | LOCAL,
    "analyst": ANALYSIS | LOCAL,
    "auditor": INSPECTION,
    "member": set(),
    "admin": ADMINISTRATION,
    "organization_auditor": INSPECTION,
    "agent": ANALYSIS,
}
"""What each may do with an approved device; a workspace role reaches no further than it."""


@pytest.mark.parametrize("kind", ALL_ON)
@pytest.mark.parametrize("role", IN_WORKSPACE)
def test_it_answers_every_role_and_action_as_the_table_says(
    company: Company, role: str, kind: str
) -> None:
    securable = company.securable(kind)
    actor = company.on(role, APPROVED)
    reaches = kind != "organization" or role in {"admin", "organization_auditor"}
    expected = IN_WORKSPACE[role] if reaches else set()
    decisions = governance.decide_many(actor, [Request(a, securable) for a in ALL_ON[kind]])
    assert {d.action for d in decisions if d.allowed} == expected & set(ALL_ON[kind])
    assert all(d.reason and (d.allowed or d.remedy) for d in decisions)


def test_it_covers_every_action_in_the_table() -> None:
    assert {action for actions in ALL_ON.values() for action in actions} == set(Action)


def test_it_lets_upend_itself_set_up_but_read_no_data(company: Company) -> None:
    table = company.table()
    assert governance.decide(SYSTEM, Action.TABLE_APPEND, table).allowed
    assert governance.decide(SYSTEM, Action.CATALOG_MANAGE, company.catalog.securable).allowed
    assert not governance.decide(SYSTEM, Action.TABLE_QUERY, table).allowed
    assert not governance.decide(SYSTEM, Action.TABLE_MATERIALIZE_LOCALLY, table).allowed


def test_it_counts_roles_held_through_a_group(company: Company) -> None:
    group = Group.objects.create(organization=company.organization, name="pilots")
    Membership.objects.create(workspace=company.workspace, group=group, role=WorkspaceRole.ANALYST)
    member = company.actors["member"]
    assert not governance.decide(member, Action.TABLE_QUERY, company.table()).allowed
    member = replace(member, group_ids=frozenset({group.id}))
    assert governance.decide(member, Action.TABLE_QUERY, company.table()).allowed


def test_it_keeps_organizations_apart(company: Company, stranger: Actor) -> None:
    decision = governance.decide(stranger, Action.CATALOG_BROWSE, company.table())
    assert not decision.allowed
    assert [p.name for p in decision.determined_by] == ["tenants-are-separate"]


@pytest.mark.parametrize("device", [None, PENDING, REVOKED])
def test_it_never_takes_a_query_right_for_a_local_one(
    company: Company, device: DeviceIdentity | None
) -> None:
    owner = company.on("owner", device)
    assert governance.decide(owner, Action.TABLE_QUERY, company.table()).allowed
    local = governance.decide(owner, Action.TABLE_MATERIALIZE_LOCALLY, company.table())
    assert not local.allowed
    assert [p.name for p in local.determined_by] == ["device-must-be-approved"]
    assert "approve this device" in local.remedy


def test_it_never_lets_a_service_account_materialize_locally(company: Company) -> None:
    Membership.objects.filter(service_account__isnull=False).update(role=WorkspaceRole.OWNER)
    agent = company.on("agent", APPROVED)
    decision = governance.decide(agent, Action.TABLE_MATERIALIZE_LOCALLY, company.table())
    assert not decision.allowed
    assert "only-people-run-locally" in [p.name for p in decision.determined_by]


def test_it_turns_local_off_for_everyone_with_one_switch(company: Company) -> None:
    company.organization.local_mode_enabled = False
    company.organization.save()
    owner = company.on("owner", APPROVED)
    decision = governance.decide(owner, Action.TABLE_MATERIALIZE_LOCALLY, company.table())
    assert not decision.allowed
    assert decision.reason == "Local compute is switched off for the whole organization."


@pytest.mark.parametrize("tagged", ["table", "catalog", "workspace", "organization"])
def test_it_inherits_personal_data_down_the_tree(company: Company, tagged: str) -> None:
    bearer = company.securable(tagged)
    TagAssignment.objects.create(
        organization=company.organization, securable_key=bearer.key, tag="personal-data"
    )
    owner = company.on("owner", APPROVED)
    local = governance.decide(owner, Action.TABLE_MATERIALIZE_LOCALLY, company.table())
    assert not local.allowed
    assert [p.name for p in local.determined_by] == ["personal-data-stays-on-the-server"]
    assert local.remedy == "Run it on the server."
    assert governance.decide(owner, Action.TABLE_QUERY, company.table()).allowed
    other = governance.decide(owner, Action.TABLE_MATERIALIZE_LOCALLY, company.table("airports"))
    assert other.allowed is (tagged == "table")


def test_it_says_whom_to_ask_when_nothing_allows(company: Company) -> None:
    member, table = company.actors["member"], company.table()
    decision = governance.decide(member, Action.TABLE_QUERY, table)
    owner = company.users["owner"].email
    assert decision.reason == (
        f"No policy allows {member.label} to query flights.main.flights; {owner} can grant it."
    )
    assert decision.determined_by == ()
    steward = company.users["steward"]
    Ownership.objects.create(
        organization=company.organization, securable_key=table.key, owner=steward
    )
    assert steward.email in governance.decide(member, Action.TABLE_QUERY, table).remedy


GOVERNING = [Action.POLICY_AUTHOR, Action.POLICY_PUBLISH, Action.TABLE_TAG]


@pytest.mark.parametrize("owned", ["catalog", "table"])
def test_it_lets_owners_govern_what_they_own_and_what_is_in_it(
    company: Company, owned: str
) -> None:
    Ownership.objects.create(
        organization=company.organization,
        securable_key=company.securable(owned).key,
        owner=company.users["analyst"],
    )
    analyst, other = company.actors["analyst"], company.table("airports")
    for action in GOVERNING:
        assert governance.decide(analyst, action, company.table()).allowed
        assert governance.decide(analyst, action, other).allowed is (owned == "catalog")
        assert not governance.decide(analyst, action, company.securable("workspace")).allowed


def test_it_lets_an_owner_without_a_role_in_the_workspace_govern_nothing(company: Company) -> None:
    table = company.table()
    Ownership.objects.create(
        organization=company.organization, securable_key=table.key, owner=company.users["member"]
    )
    member = company.actors["member"]
    assert not any(governance.decide(member, action, table).allowed for action in GOVERNING)


@pytest.mark.parametrize(
    ("scopes", "action", "allowed"),
    [
        ({Scope.QUERY_RUN}, Action.TABLE_QUERY, True),
        ({Scope.QUERY_RUN}, Action.TABLE_MATERIALIZE_LOCALLY, True),
        ({Scope.QUERY_RUN}, Action.CATALOG_BROWSE, True),
        ({Scope.QUERY_RUN}, Action.TABLE_APPEND, False),
        ({Scope.QUERY_RUN}, Action.CATALOG_MANAGE, False),
        ({Scope.CATALOG_READ}, Action.CATALOG_BROWSE, True),
        ({Scope.CATALOG_READ}, Action.TABLE_QUERY, False),
        ({Scope.CATALOG_READ}, Action.TABLE_MATERIALIZE_LOCALLY, False),
        ({Scope.CATALOG_WRITE}, Action.TABLE_APPEND, True),
        ({Scope.CATALOG_WRITE}, Action.TABLE_QUERY, False),
        ({Scope.CATALOG_WRITE}, Action.CATALOG_MANAGE, True),
        ({Scope.ADMIN}, Action.CATALOG_BROWSE, True),
        ({Scope.ADMIN}, Action.TABLE_QUERY, False),
        (set(), Action.CATALOG_BROWSE, False),
    ],
)
def test_it_narrows_a_token_to_its_scopes(
    company: Company, scopes: set[Scope], action: Action, allowed: bool
) -> None:
    actor = replace(company.on("owner", APPROVED), scopes=frozenset(scopes))
    assert governance.decide(actor, action, company.table()).allowed is allowed


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        (Action.TABLE_QUERY, "workspace"),
        (Action.CATALOG_MANAGE, "organization"),
        (Action.DEVICE_MANAGE, "table"),
    ],
)
def test_it_denies_what_the_schema_does_not_know(
    company: Company, action: Action, kind: str
) -> None:
    decision = governance.decide(company.actors["owner"], action, company.securable(kind))
    assert not decision.allowed
    assert "could not be evaluated" in decision.reason


def test_it_denies_one_unknown_question_and_answers_the_rest(company: Company) -> None:
    requests = [
        Request(Action.TABLE_QUERY, company.table()),
        Request(Action.TABLE_QUERY, company.securable("workspace")),
        Request(Action.CATALOG_BROWSE, company.table()),
    ]
    decisions = governance.decide_many(company.actors["owner"], requests)
    assert [d.allowed for d in decisions] == [True, False, True]


def test_it_answers_in_order_across_workspaces(company: Company) -> None:
    other = Workspace.objects.create(
        organization=company.organization, name="Second", slug="second"
    )
    elsewhere = replace(
        company.table(), key="table:x/y", workspace_id=other.id, parent=None, label="elsewhere"
    )
    requests = [Request(Action.TABLE_QUERY, s) for s in (elsewhere, company.table(), elsewhere)]
    decisions = governance.decide_many(company.actors["analyst"], requests)
    assert [d.allowed for d in decisions] == [False, True, False]


@pytest.mark.parametrize("role", ["analyst", "auditor"])
def test_it_asks_the_database_as_often_for_a_thousand_tables_as_for_one(
    company: Company, role: str
) -> None:
    tables = [company.table(f"t{number}") for number in range(1000)]
    counts = []
    for wanted in (tables[:1], tables):
        with CaptureQueriesContext(connection) as captured:
            requests = [Request(Action.TABLE_QUERY, table) for table in wanted]
            governance.decide_many(company.actors[role], requests)
        counts.append(len(captured))
    assert counts == [1, 1] if role == "analyst" else [2, 2]  # a refusal names whom to ask


def test_it_answers_nothing_to_no_question(company: Company) -> None:
    assert governance.decide_many(company.actors["owner"], []) == ()


def test_it_names_the_policy_with_its_version(company: Company) -> None:
    decision = governance.decide(company.actors["analyst"], Action.TABLE_QUERY, company.table())
    named = [(p.name, p.version) for p in decision.determined_by]
    assert named == [("analyst-queries", ROLE_DEFAULTS_VERSION)]
    assert decision.reason == "Analysts may browse and query what is in their workspace."
    assert company.table().kind is SecurableKind.TABLE
