"""Cedar, asked as the rooms ask it, but over values alone: no database."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from accounts.domain import Actor, DeviceIdentity, DeviceStatus, OrganizationRole, PrincipalKind
from governance import engine, entities
from governance.domain import Action, DecisionContext, Request, Securable, SecurableKind
from governance.entities import Facts
from workspaces.domain import WorkspaceRole

ORGANIZATION, WORKSPACE = uuid.uuid4(), uuid.uuid4()
DEFAULTS = engine.source("role_defaults.cedar")
TEXT_OF_VERSION = {
    1: "2400517ec019cab6",
    2: "114aec09d78adf52",
    3: "10ecfe6bc229295a",
    4: "7ac92c3063d24c7d",
    5: "77c2d2e7f0fc68a0",
}


def plausible(actor: Actor) -> Actor:
    """Return the actor as one can be: Upend itself has no attributes, and Cedar takes none."""
    return actor if actor.kind is not PrincipalKind.SYSTEM else replace(actor, attributes={})


roles = st.frozensets(st.sampled_from(WorkspaceRole))
tags = st.frozensets(st.sampled_from(["personal-data", "finance", "public"]))
devices = st.sampled_from([None, *DeviceStatus]).map(
    lambda status: status and DeviceIdentity(uuid.uuid4(), "laptop", "t", status)
)
actors = st.builds(
    Actor,
    kind=st.sampled_from(PrincipalKind),
    id=st.just(uuid.uuid4()),
    label=st.just("someone"),
    organization_id=st.sampled_from([ORGANIZATION, uuid.uuid4()]),
    organization_role=st.sampled_from(OrganizationRole),
    device=devices,
    scopes=st.none() | st.frozensets(st.sampled_from(["admin", "query:run", "catalog:read"])),
    mfa=st.booleans(),
    attributes=st.dictionaries(st.sampled_from(["team", "country"]), st.text(max_size=5)),
).map(plausible)
conditions = st.sampled_from(
    [
        "true",
        "context.mfa",
        'context.place == "local"',
        'resource.tags.contains("finance")',
        'principal.workspace_roles.contains("owner")',
        'principal has organization && principal.hasTag("team")',
        "context.device.present",
        "resource has owner && resource.owner == principal",
    ]
)
forbids = st.lists(
    st.tuples(st.sampled_from([None, *Action]), st.sampled_from(["when", "unless"]), conditions),
    min_size=1,
    max_size=4,
)


def tree() -> list[Securable]:
    """Return an organization, a workspace, a catalog and a table, each below the one before."""
    made: list[Securable] = []
    for kind in ("ORGANIZATION", "WORKSPACE", "CATALOG", "TABLE"):
        made.append(
            Securable(
                SecurableKind[kind],
                f"{kind.lower()}:{ORGANIZATION}",
                kind.lower(),
                ORGANIZATION,
                None if kind == "ORGANIZATION" else WORKSPACE,
                made[-1] if made else None,
            )
        )
    return made


TREE = tree()
EVERYTHING = [Request(action, securable) for action in Action for securable in TREE]


def ask(
    bundle: engine.PolicyBundle,
    actor: Actor,
    held: frozenset[WorkspaceRole],
    on: frozenset[str],
    *,
    local: bool = True,
) -> list[engine.Verdict]:
    """Ask every action on everything."""
    facts = Facts({WORKSPACE: held}, {TREE[-1].key: on}, {}, local_mode_enabled=local)
    circumstances = entities.circumstances(actor, DecisionContext("local"), facts)
    known = [entities.principal(actor, held), *entities.resources([TREE[-1]], facts)]
    asked = [entities.request(actor, request, circumstances) for request in EVERYTHING]
    return engine.evaluate(bundle, asked, known)


def allowed(verdicts: list[engine.Verdict]) -> set[int]:
    """Return the positions of what was allowed."""
    return {position for position, verdict in enumerate(verdicts) if verdict.allowed}


@given(actors, roles, tags, st.booleans(), forbids)
def test_it_never_allows_more_with_another_forbid(
    actor: Actor,
    held: frozenset[WorkspaceRole],
    on: frozenset[str],
    local: bool,
    added: list[tuple[Action | None, str, str]],
) -> None:
    more = "".join(
        f'@id("f{n}") @summary("s") forbid (principal, '
        + (f'action == Action::"{action}"' if action else "action")
        + f", resource) {keyword} {{ {condition} }};"
        for n, (action, keyword, condition) in enumerate(added)
    )
    before = ask(engine.role_defaults(), actor, held, on, local=local)
    after = ask(engine.parse(DEFAULTS + more, 1), actor, held, on, local=local)
    assert allowed(after) <= allowed(before)


@given(actors, roles, roles, tags)
def test_it_never_allows_more_with_fewer_roles(
    actor: Actor,
    held: frozenset[WorkspaceRole],
    taken: frozenset[WorkspaceRole],
    on: frozenset[str],
) -> None:
    bundle = engine.role_defaults()
    more = allowed(ask(bundle, actor, held, on))
    fewer = allowed(ask(bundle, actor, held - taken, on))
    plain = replace(actor, organization_role=OrganizationRole.MEMBER)
    assert fewer <= more
    assert allowed(ask(bundle, plain, held, on)) <= more


@given(actors, roles, tags, st.booleans())
def test_it_lets_only_people_on_approved_devices_materialize_locally(
    actor: Actor, held: frozenset[WorkspaceRole], on: frozenset[str], local: bool
) -> None:
    verdicts = ask(engine.role_defaults(), actor, held, on, local=local)
    position = EVERYTHING.index(Request(Action.TABLE_MATERIALIZE_LOCALLY, TREE[-1]))
    if verdicts[position].allowed:
        assert actor.is_person
        assert actor.device is not None
        assert actor.device.is_approved
        assert local
        assert "personal-data" not in on
        assert verdicts[EVERYTHING.index(Request(Action.TABLE_QUERY, TREE[-1]))].allowed


def test_it_parses_a_version_once() -> None:
    engine.role_defaults.cache_clear()
    first = engine.role_defaults()
    assert engine.role_defaults() is first
    assert engine.parse(DEFAULTS, engine.ROLE_DEFAULTS_VERSION) is first
    assert engine.parse(DEFAULTS, engine.ROLE_DEFAULTS_VERSION).policies is first.policies
    assert engine.parse(DEFAULTS, engine.ROLE_DEFAULTS_VERSION + 1) is not first
    assert engine.parse(DEFAULTS, engine.ROLE_DEFAULTS_VERSION + 1).schema is first.schema


def test_it_raises_the_version_when_the_text_changes() -> None:
    digest = hashlib.sha256(DEFAULTS.encode()).hexdigest()[:16]
    assert TEXT_OF_VERSION[engine.ROLE_DEFAULTS_VERSION] == digest, (
        "role_defaults.cedar changed: raise ROLE_DEFAULTS_VERSION and add its digest here, "
        "because decisions in the ledger name the version."
    )


OWNER = Actor(PrincipalKind.USER, uuid.uuid4(), "owner", ORGANIZATION)
IS_OWNER = frozenset({WorkspaceRole.OWNER})


def test_it_denies_when_a_forbid_errs_though_cedar_would_allow() -> None:
    overflow = "9223372036854775807 + 1 == 0"
    failing = f'@id("x") @summary("s") forbid (principal, action, resource) when {{ {overflow} }};'
    bundle = engine.parse(DEFAULTS + failing, 1)
    with structlog.testing.capture_logs() as logs:
        verdicts = ask(bundle, OWNER, IS_OWNER, frozenset())
    assert not allowed(verdicts)
    assert not any(verdict.is_evaluated for verdict in verdicts)
    assert {entry["log_level"] for entry in logs} == {"error"}


def test_it_denies_what_is_about_an_unknown_entity() -> None:
    facts = Facts({}, {}, {}, local_mode_enabled=True)
    asked = entities.request(
        OWNER,
        Request(Action.TABLE_QUERY, TREE[-1]),
        entities.circumstances(OWNER, DecisionContext(), facts),
    )
    verdicts = engine.evaluate(
        engine.role_defaults(), [asked], [entities.principal(OWNER, IS_OWNER)]
    )
    assert verdicts == [engine.NOT_EVALUATED]


@pytest.mark.parametrize(
    "entity", [{"uid": 3}, {"uid": {"type": "User", "id": "x"}, "attrs": {}, "parents": []}]
)
def test_it_denies_when_the_entities_are_malformed(entity: engine.Json) -> None:
    facts = Facts({}, {}, {}, local_mode_enabled=True)
    asked = entities.request(
        OWNER,
        Request(Action.CATALOG_BROWSE, TREE[-1]),
        entities.circumstances(OWNER, DecisionContext(), facts),
    )
    known = [entities.principal(OWNER, IS_OWNER), *entities.resources([TREE[-1]], facts)]
    assert engine.evaluate(engine.role_defaults(), [asked], known)[0].allowed
    answers = engine.evaluate(engine.role_defaults(), [asked], [*known, entity])
    assert answers == [engine.NOT_EVALUATED]


@pytest.mark.parametrize(
    "text",
    [
        "permit (principal, action, resource);",
        '@id("x") permit (principal, action, resource);',
        "permit (",
    ],
)
def test_it_refuses_policies_that_nobody_could_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        engine.parse(text, 1)
