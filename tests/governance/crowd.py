"""Many people and tables of one company, all sorts of them, and policies that tell them apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import uuid4

from accounts.domain import Actor
from accounts.models import Group, User
from accounts.selectors import actor_for_service_account, actor_for_user
from governance import bundle, selectors
from governance.bundle import Bundle
from governance.comparison import ACTIONS_ON, BEST_DEVICE, LOCAL, MATERIALIZE, SERVER, shown
from governance.domain import Action, PolicyKind, Request, Securable, SecurableColumn
from governance.materialization import ASKED, outcome
from governance.models import Ownership, TagAssignment
from governance.rules import Published
from workspaces.domain import WorkspaceRole
from workspaces.models import Membership

from .conftest import Company, columns_of

ROLES = tuple(WorkspaceRole)


@dataclass(frozen=True)
class Crowd:
    """The company with all its people and tables."""

    company: Company
    actors: tuple[Actor, ...]
    groups: tuple[Group, ...]
    tables: tuple[Securable, ...]

    def policy(self, name: str, kind: PolicyKind, scope: Securable, compiled: object) -> Published:
        """Return a policy as it would hold."""
        assert isinstance(compiled, dict)
        return Published(
            uuid4(), name, kind, scope.key, scope.label, 1, f"The summary of {name}.", compiled
        )

    @property
    def now(self) -> Bundle:
        """Return what holds."""
        return bundle.bundle_of(self.company.workspace.id)

    @property
    def scope(self) -> list[Securable]:
        """Return the workspace, its catalog and its tables."""
        return [
            self.company.securable("workspace"), self.company.securable("catalog"), *self.tables,
        ]  # fmt: skip


def gather(company: Company, *, people: int, tables: int) -> Crowd:
    """Create so many people in all, of every role and in three groups, and so many tables."""
    organization, workspace = company.organization, company.workspace
    groups = tuple(
        Group.objects.create(organization=organization, name=name) for name in ("hr", "ops", "x")
    )
    Membership.objects.create(workspace=workspace, group=groups[1], role=WorkspaceRole.ANALYST)
    here = [name for name in company.users if name != "member"]
    added = [
        User.objects.create(username=f"p{n}", email=f"p{n}@air.example", organization=organization)
        for n in range(people - len(here) - 1)
    ]
    for number, user in enumerate(added):
        groups[number % 3].users.add(user)
        if number % 3 != 1:
            role = ROLES[number % len(ROLES)]
            Membership.objects.create(workspace=workspace, user=user, role=role)
    users = [company.users[name] for name in here] + added
    agent = organization.service_accounts.get()
    actors = (*map(actor_for_user, users), actor_for_service_account(agent))
    return Crowd(company, actors, groups, tuple(_tables(company, tables)))


def _tables(company: Company, count: int) -> Iterator[Securable]:
    """Return tables of which some have tags, columns with tags, owners, or lack a column."""
    rows: list[TagAssignment] = []
    organization = company.organization
    for number in range(count):
        table = company.table(f"t{number}")
        columns = columns_of(table)[: 5 if number % 5 else 1]
        table = replace(table, columns=columns)
        if number % 7 == 0:
            tag = ("personal-data", "finance", "public")[number % 3]
            rows.append(TagAssignment(organization=organization, securable_key=table.key, tag=tag))
        if number % 11 == 0:
            rows.append(_tagged(company, table, columns[0]))
        if number % 13 == 0:
            owner = company.users[("steward", "analyst")[number % 2]]
            Ownership.objects.create(
                organization=organization, securable_key=table.key, owner=owner
            )
        yield table
    TagAssignment.objects.bulk_create(rows)


def _tagged(company: Company, table: Securable, column: SecurableColumn) -> TagAssignment:
    return TagAssignment(
        organization=company.organization,
        securable_key=column.key,
        table_key=table.key,
        tag="personal-data",
    )


Answers = dict[tuple[str, str, str], tuple[str, str]]
"""What is answered, in words, and what tells equal words apart.

By the principal's label, the securable's key, and the action.
"""


def brute_force(crowd: Crowd, held: Bundle, *actions: Action) -> Answers:
    """Return every answer on the server, one by one; without `actions`, of all of them."""
    found: Answers = {}
    for actor in crowd.actors:
        asked = [
            Request(action, securable, SERVER)
            for securable in crowd.scope
            for action in ACTIONS_ON[securable.kind]
            if action in (actions or Action)
        ]
        for decision in selectors.decide_many(replace(actor, mfa=True), asked, bundle=held):
            key = (actor.label, decision.securable_key, decision.action.value)
            found[key] = (shown(decision), decision.obligations.fingerprint)
    return found


def outcomes_by_brute_force(crowd: Crowd, held: Bundle) -> Answers:
    """Return what of each table may be on an approved device, asked one by one."""
    found: Answers = {}
    for actor in crowd.actors:
        device = replace(actor, mfa=True, device=BEST_DEVICE if actor.is_person else None)
        asked = [Request(a, table, LOCAL) for table in crowd.tables for a in ASKED]
        answers = iter(selectors.decide_many(device, asked, bundle=held))
        for table, three in zip(
            crowd.tables, zip(answers, answers, answers, strict=True), strict=True
        ):
            found[actor.label, table.key, MATERIALIZE] = (outcome(*three).outcome.value, "")
    return found
