"""Whatever policies are published: no by default, no order, no way out of a scope or a tenant.

Over values alone: what the database knows is generated, and no statement is run.
"""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cedarpy
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from accounts.domain import Actor, DeviceIdentity, DeviceStatus, PrincipalKind
from governance import engine, entities, verdicts
from governance.bundle import Bundle
from governance.domain import (
    Action,
    DecisionContext,
    PolicyKind,
    Request,
    Securable,
    SecurableColumn,
    SecurableKind,
)
from governance.entities import Facts
from governance.rules import Published, statements
from governance.verdicts import Answer
from workspaces.domain import WorkspaceRole

ORGANIZATION, WORKSPACE, OTHER_WORKSPACE = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
GROUP = uuid.uuid4()
LAPTOP = DeviceIdentity(uuid.uuid4(), "laptop", "t", DeviceStatus.APPROVED)
NAMES = ("email", "region", "salary")


def build_tree() -> list[Securable]:
    """Return a workspace, two catalogs, and two tables in each."""
    top = Securable(SecurableKind.ORGANIZATION, f"organization:{ORGANIZATION}", "o", ORGANIZATION)
    key = f"workspace:{WORKSPACE}"
    made = [Securable(SecurableKind.WORKSPACE, key, "w", ORGANIZATION, WORKSPACE, top)]
    for catalog in ("a", "b"):
        key = f"catalog:{catalog}"
        above = Securable(SecurableKind.CATALOG, key, catalog, ORGANIZATION, WORKSPACE, made[0])
        made.append(above)
        for table in ("1", "2"):
            columns = tuple(
                SecurableColumn(f"column:{catalog}/{table}/{n}", (name,), "VARCHAR")
                for n, name in enumerate(NAMES, start=1)
            )
            key, label = f"table:{catalog}/{table}", f"{catalog}.main.t{table}"
            made.append(
                Securable(SecurableKind.TABLE, key, label, ORGANIZATION, WORKSPACE, above, columns)
            )
    return made


TREE = build_tree()
ASKED = [
    Request(action, securable)
    for securable in TREE
    for action in (
        Action.CATALOG_BROWSE,
        Action.TABLE_QUERY,
        Action.TABLE_MATERIALIZE_LOCALLY,
        Action.TABLE_APPEND,
    )
    if securable.kind is SecurableKind.TABLE or action is Action.CATALOG_BROWSE
]

scopes = st.sampled_from(TREE)
spared = st.lists(
    st.sampled_from(
        [
            {"kind": "group", "key": str(GROUP)},
            {"kind": "role", "key": "owner"},
            {"kind": "attribute", "key": "team=hr"},
        ]
    ),
    max_size=2,
)
heads = st.tuples(
    st.sampled_from(["permit", "forbid"]),
    st.sampled_from(["principal", "principal is User", f'principal in Group::"{GROUP}"']),
    st.sampled_from(["action", *(f'action == Action::"{a}"' for a in Action if "table" in a)]),
    st.sampled_from(["", "when { context.mfa }", 'unless { resource.tags.contains("public") }']),
)


@st.composite
def policies(draw: st.DrawFn, kinds: Sequence[PolicyKind] = tuple(PolicyKind)) -> Published:
    """Draw a policy that holds somewhere in the tree."""
    kind, scope = draw(st.sampled_from(kinds)), draw(scopes)
    compiled: dict[str, Any]
    match kind:
        case PolicyKind.ACCESS:
            effect, principal, action, condition = draw(heads)
            text = f"{effect} ({principal}, {action}, resource) {condition};"
            bodies = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"].values()
            compiled = {"statements": [{"summary": text, "body": body} for body in bodies]}
        case PolicyKind.MASK:
            names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=2))
            compiled = {
                "columns": [{"name": name, "keys": []} for name in names],
                "tags": draw(st.lists(st.sampled_from(["public", "secret"]), max_size=1)),
                "mask": draw(
                    st.sampled_from(
                        [
                            {"method": "null"},
                            {"method": "hide"},
                            {"method": "partial", "keep_last": 1},
                        ]
                    )
                ),
                "except": draw(spared),
            }
            assume(compiled["columns"] or compiled["tags"])
        case PolicyKind.ROW_FILTER:
            column = {"column": {"name": draw(st.sampled_from(NAMES)), "keys": []}}
            compiled = {
                "template": [column, " = ", {"principal": "team"}],
                "except": draw(spared),
            }
    broken = draw(st.sampled_from(["", "", "", "it is gone."]))
    name = f"p{draw(st.integers(0, 10**6))}"
    return Published(uuid.uuid4(), name, kind, scope.key, scope.label, 1, "-", compiled, broken)


def unique(found: Sequence[Published]) -> list[Published]:
    """Return policies whose names differ, as the database has them."""
    return [replace(policy, name=f"{policy.name}-{n}") for n, policy in enumerate(found)]


FEWER = settings(max_examples=40)
"""An example asks twenty questions twice: forty examples are as many as others' hundreds."""

several = st.lists(policies(), max_size=6).map(unique)
people = st.builds(
    Actor,
    kind=st.sampled_from([PrincipalKind.USER, PrincipalKind.SERVICE_ACCOUNT]),
    id=st.just(uuid.uuid4()),
    label=st.just("ana@air.example"),
    organization_id=st.just(ORGANIZATION),
    group_ids=st.sampled_from([frozenset(), frozenset({GROUP})]),
    device=st.sampled_from([None, LAPTOP]),
    mfa=st.booleans(),
    attributes=st.sampled_from([{}, {"team": "hr"}, {"team": "it"}]),
)
facts = st.builds(
    Facts,
    roles=st.frozensets(st.sampled_from(WorkspaceRole), max_size=2).map(lambda r: {WORKSPACE: r}),
    tags=st.dictionaries(
        st.sampled_from([*(s.key for s in TREE), "column:a/1/1", "column:b/2/3"]),
        st.frozensets(st.sampled_from(["public", "secret"]), max_size=1),
        max_size=4,
    ),
    owners=st.just({}),
    local_mode_enabled=st.booleans(),
)


def ask(actor: Actor, known: Facts, *holding: Published) -> list[Answer]:
    """Ask everything in the tree."""
    bundle = Bundle(WORKSPACE, 1, holding)
    return verdicts.answers(actor, ASKED, DecisionContext("local"), known, {WORKSPACE: bundle})


def allowed(answers: Sequence[Answer]) -> set[int]:
    """Return the positions of what was allowed."""
    return {n for n, answer in enumerate(answers) if answer.verdict.allowed}


def shown(answer: Answer) -> set[str]:
    """Return the columns that are seen as they are."""
    obligations = answer.obligations
    masked = {mask.column for mask in obligations.masks}
    return {name for name in NAMES if name not in masked | obligations.hidden_columns}


@FEWER
@given(people, facts, several)
def test_it_allows_nothing_that_no_policy_permits(
    actor: Actor, known: Facts, holding: list[Published]
) -> None:
    nobody = replace(known, roles={})
    without_permits = [
        policy
        for policy in holding
        if policy.kind is not PolicyKind.ACCESS
        or policy.compiled["statements"][0]["body"]["effect"] == "forbid"
    ]
    assert not allowed(ask(actor, nobody, *without_permits))
    for answer in ask(actor, nobody, *holding):
        assert answer.verdict.allowed <= bool(answer.verdict.determined_by)


@FEWER
@given(people, facts, several, policies())
def test_it_never_shows_more_where_a_policy_restricts_more(
    actor: Actor, known: Facts, holding: list[Published], added: Published
) -> None:
    added = replace(added, name="added")
    is_permit = added.kind is PolicyKind.ACCESS and not added.broken_because
    assume(not is_permit or added.compiled["statements"][0]["body"]["effect"] == "forbid")
    before, after = ask(actor, known, *holding), ask(actor, known, *holding, added)
    assert allowed(after) <= allowed(before)
    for position in allowed(after):
        assert shown(after[position]) <= shown(before[position])
        filters = {f.policy for f in before[position].obligations.row_filters}
        assert filters <= {f.policy for f in after[position].obligations.row_filters}


@FEWER
@given(people, facts, several, st.randoms())
def test_it_answers_the_same_in_any_order(
    actor: Actor, known: Facts, holding: list[Published], chance: Any
) -> None:
    shuffled = list(holding)
    chance.shuffle(shuffled)
    before, after = ask(actor, known, *holding), ask(actor, known, *shuffled)
    assert [(a.verdict, a.obligations, a.shaped_by) for a in before] == [
        (a.verdict, a.obligations, a.shaped_by) for a in after
    ]


@FEWER
@given(people, facts, several, policies())
def test_it_changes_nothing_outside_the_scope_of_a_policy(
    actor: Actor, known: Facts, holding: list[Published], added: Published
) -> None:
    added = replace(added, name="added")
    before, after = ask(actor, known, *holding), ask(actor, known, *holding, added)
    for request, old, new in zip(ASKED, before, after, strict=True):
        chain = {request.securable.key, *(s.key for s in request.securable.ancestors)}
        if added.scope_key not in chain:
            assert (old.verdict, old.obligations) == (new.verdict, new.obligations)


@FEWER
@given(people, facts, several)
def test_it_tells_a_stranger_nothing_of_what_holds(
    actor: Actor, known: Facts, holding: list[Published]
) -> None:
    stranger = replace(actor, organization_id=uuid.uuid4())
    answers = ask(stranger, known, *holding)
    assert not allowed(answers)
    named = {p.name for answer in answers for p in answer.verdict.determined_by}
    assert named.isdisjoint({policy.name for policy in holding})
    elsewhere = Bundle(OTHER_WORKSPACE, 1, holding)
    bundles = {OTHER_WORKSPACE: elsewhere}
    mine = verdicts.answers(actor, ASKED, DecisionContext("local"), known, bundles)
    assert [a.verdict for a in mine] == [a.verdict for a in ask(actor, known)]


@FEWER
@given(people, facts, st.lists(policies([PolicyKind.ACCESS]), max_size=6).map(unique))
def test_it_answers_as_one_set_of_all_policies_would(
    actor: Actor, known: Facts, holding: list[Published]
) -> None:
    every = list(itertools.chain.from_iterable(statements(policy) for policy in holding))
    texts = {one.id: (one.body, one.policy) for _, one in every}
    whole = engine.assemble(texts, engine.role_defaults())
    circumstances = entities.circumstances(actor, DecisionContext("local"), known)
    asked = [entities.request(actor, request, circumstances) for request in ASKED]
    everything = [
        entities.principal(actor, known.roles_in(WORKSPACE)),
        *entities.resources(TREE, known),
    ]
    expected = engine.evaluate(whole, asked, everything)
    for one, answer in zip(expected, ask(actor, known, *holding), strict=True):
        assert one.allowed == answer.verdict.allowed
        assert set(one.determined_by) == set(answer.verdict.determined_by)
