"""What recorded queries and refusals would have become under a draft, held against each alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from accounts.domain import DeviceStatus
from accounts.models import Device
from audit.domain import Event
from audit.models import AuditRecord
from catalog.inventory import LakeInventory
from execution.domain import Place, QueryState
from execution.models import Query
from governance import inventory
from governance.api.simulation import told
from governance.bundle import Bundle
from governance.comparison import LOCAL, SERVER
from governance.domain import Action, PolicyKind, ReplayState, Request, Securable
from governance.fates import Fate
from governance.materialization import ASKED, least, outcomes
from governance.models import PolicyReplay, PolicyVersion
from governance.proposals import Proposal
from governance.rules import Published
from governance.selectors import decide_many
from governance.services import policies, replays
from problems import Invalid

from .conftest import Company
from .crowd import Crowd, gather
from .publishing import access, mask, publish, row_filter
from .shelf import Shelf

READ = ("email", "region")


@pytest.fixture
def crowd(company: Company) -> Iterator[Crowd]:
    """Return a crowd whose tables the inventory knows."""
    found = gather(company, people=14, tables=12)
    inventory.register(Shelf(company.catalog.securable, *found.tables))
    yield found
    inventory.register(LakeInventory())


def record(crowd: Crowd, count: int) -> list[Query]:
    """Record that people asked for tables, by turns, on the server and on their devices."""
    people = [a for a in crowd.actors if a.is_person]
    devices = {a.id: _device(a.id) for a in people[::2]}
    rows = []
    for number in range(count):
        actor = crowd.actors[number % len(crowd.actors)]
        device = devices.get(actor.id)
        is_local = device is not None and number % 3 == 0
        first, second = crowd.tables[number % 12], crowd.tables[(number * 5 + 1) % 12]
        tables = [first] if number % 4 else [first, second]
        rows.append(
            Query(
                workspace=crowd.company.workspace,
                user_id=actor.id if actor.is_person else None,
                service_account_id=None if actor.is_person else actor.id,
                device=device if is_local else None,
                sql="-",
                canonical_sql="-",
                place=Place.LOCAL if is_local else Place.SERVER,
                state=QueryState.SUCCEEDED,
                execution={},
                asked={"mfa": number % 2 == 0},
                plan=plan(tables, READ[: 1 + number % 2]),
                created_at=timezone.now() - timedelta(minutes=number),
            )
        )
    return Query.objects.bulk_create(rows)


def plan(tables: list[Securable], columns: tuple[str, ...]) -> dict[str, object]:
    """Return as much of a plan as was recorded of what it read."""
    return {
        "decisions": [
            {"action": "table.query", "securable": {"key": t.key, "label": t.label}}
            for t in tables
        ],
        "tables": [
            {"table": t.label, "columns": list(columns), "scan_bytes": 100} for t in tables
        ],
    }  # fmt: skip


def _device(user_id: UUID) -> Device:
    return Device.objects.create(
        user_id=user_id, name="laptop", public_jwk={}, thumbprint=str(user_id),
        status=DeviceStatus.APPROVED,
    )  # fmt: skip


def drafts(crowd: Crowd) -> dict[str, Published]:
    """Return drafts that fail queries, move them, and change what they show."""
    hr = crowd.groups[0]
    spared = [{"kind": "group", "key": str(hr.id)}]
    top, catalog = crowd.company.securable("workspace"), crowd.company.securable("catalog")
    forbid = f"""
    forbid (principal, action == Action::"table.query", resource == Table::"{crowd.tables[2].key}")
    unless {{ principal in Group::"{hr.id}" && context.mfa }};
    forbid (principal, action == Action::"table.materialize_locally", resource)
    when {{ resource.tags.contains("public") }};
    """
    email, region = crowd.tables[1].columns[:2]
    where = row_filter(
        {"column": {"name": "region", "keys": [region.key]}}, " = 'x'", spared=spared
    )
    return {
        "access": crowd.policy("draft", PolicyKind.ACCESS, top, access(forbid)),
        "mask": crowd.policy("draft", PolicyKind.MASK, catalog, mask(email, spared=spared)),
        "hide": crowd.policy("draft", PolicyKind.MASK, catalog, mask(region, method="hide")),
        "row_filter": crowd.policy("draft", PolicyKind.ROW_FILTER, crowd.tables[1], where),
    }


def fate_of(crowd: Crowd, query: Query, now: Bundle, then: Bundle) -> Fate:
    """Return how one query fares, asked alone."""
    actor = next(a for a in crowd.actors if a.id == query.principal_key)
    device = query.device.identity if query.device else None
    actor = replace(actor, mfa=query.asked["mfa"], device=device)
    by_key = {t.key: t for t in crowd.tables}
    tables = [by_key[d["securable"]["key"]] for d in query.plan["decisions"]]
    asked = [Request(Action.TABLE_QUERY, t, SERVER) for t in tables]
    one, other = (decide_many(actor, asked, bundle=held) for held in (now, then))
    could, can = (all(d.allowed for d in side) for side in (one, other))
    if could != can:
        return Fate.FAILS if could else Fate.ALLOWED
    if not could:
        return Fate.SAME
    read = set(query.plan["tables"][0]["columns"])
    if any(b.obligations.hidden_columns & read for b in other):
        return Fate.FAILS
    if device:
        local = [Request(a, t, LOCAL) for t in tables for a in ASKED]
        places = [least(outcomes(decide_many(actor, local, bundle=held))) for held in (now, then)]
        if places[0] is not places[1]:
            return Fate.MOVES
    for a, b in zip(one, other, strict=True):
        shown = (
            ([m for m in d.obligations.masks if m.column in read], d.obligations.row_filters)
            for d in (a, b)
        )
        if len({str(s) for s in shown}) > 1:
            return Fate.SHOWN
    return Fate.SAME


@pytest.mark.parametrize("kind", ["access", "mask", "hide", "row_filter"])
def test_it_agrees_with_brute_force(crowd: Crowd, kind: str) -> None:
    queries = record(crowd, 60)
    now = crowd.now
    then = now.with_policy(drafts(crowd)[kind])
    found = replays.replayed(proposal(crowd, now, then), days=1)
    expected = Counter(fate_of(crowd, query, now, then) for query in queries)
    assert dict(found.counts) == expected
    assert len(expected) > 1
    assert found.recorded == 60


def proposal(crowd: Crowd, now: Bundle, then: Bundle) -> Proposal:
    """Return a proposal of whatever differs between two bundles."""
    policy = publish(
        crowd.company, "unused", PolicyKind.ACCESS, crowd.company.securable("workspace"),
        {"statements": []},
    ) if not PolicyVersion.objects.exists() else PolicyVersion.objects.get().policy  # fmt: skip
    return Proposal(policy, crowd.company.securable("workspace"), now, then)


def saved(crowd: Crowd, name: str = "no-mail") -> PolicyVersion:
    """Return the draft of a policy that masks e-mail addresses in the catalog."""
    owner = crowd.company.actors["owner"]
    return policies.create_policy(
        actor=owner, workspace=crowd.company.workspace, scope=crowd.company.catalog.securable,
        kind=PolicyKind.MASK, name=name, text="columns: [email]\nmethod: null\n",
    )  # fmt: skip


def test_it_keeps_the_result_of_a_replay_and_names_nothing_unknown(crowd: Crowd) -> None:
    record(crowd, 24)
    version = saved(crowd)
    owner = crowd.company.actors["owner"]
    replay = replays.replay_policy(actor=owner, policy=version.policy, days=1)
    assert (replay.state, replay.done, replay.total) == (ReplayState.SUCCEEDED, 24, 24)
    found, kept = told(replay, known=()), replay.result
    assert found is not None
    assert kept is not None
    assert kept["counts"][Fate.SHOWN] > 0
    assert kept["counts"][Fate.MOVES] > 0
    first = kept["affected"][0]
    assert {read["key"] for read in first["tables"]} <= {t.key for t in crowd.tables}
    assert found["affected"][0]["tables"] == []
    assert AuditRecord.objects.get(event=Event.POLICY_REPLAYED).target_label == "no-mail"
    again = replays.replay_policy(actor=owner, policy=version.policy, days=1, ends=True)
    assert again.result is not None
    assert again.result["affected"] == []  # it does not hold yet: nothing would end


def test_it_leaves_a_large_replay_to_a_worker_and_stops_when_told(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(crowd, 12)
    monkeypatch.setattr(replays, "AT_ONCE", 1)
    owner, policy = crowd.company.actors["owner"], saved(crowd).policy
    first = replays.replay_policy(actor=owner, policy=policy, days=1)
    assert first.state == ReplayState.QUEUED
    replays.cancel_replay(actor=owner, replay=first)
    replays.run_replay(first.id)  # the message that was under way
    first.refresh_from_db()
    assert (first.state, first.result) == (ReplayState.CANCELLED, None)
    second = replays.replay_policy(actor=owner, policy=policy, days=1)
    PolicyReplay.objects.filter(id=second.id).update(
        state=ReplayState.RUNNING, attempts=1, heartbeat_at=timezone.now() - timedelta(hours=1)
    )
    assert replays.sweep_replays() == 1
    replays.run_replay(second.id)
    second.refresh_from_db()
    assert (second.state, second.attempts) == (ReplayState.SUCCEEDED, 2)
    with pytest.raises(Invalid):
        replays.replay_policy(actor=owner, policy=policy, days=0)


def test_it_says_which_refusals_would_be_allowed(crowd: Crowd) -> None:
    member, table = crowd.company.actors["auditor"], crowd.tables[1]
    AuditRecord.objects.create(
        workspace=crowd.company.workspace, organization=crowd.company.organization,
        event=Event.DECISION_DENIED, actor_kind="user", actor_id=member.id, actor_label="x",
        target_kind="table", target_id="x", target_label="x",
        decision={"action": "table.query", "securable": {"key": table.key, "label": "x"}},
    )  # fmt: skip
    permit = (
        f'permit (principal == User::"{member.id}", action == Action::"table.query", resource);'
    )
    now = crowd.now
    draft = crowd.policy("p", PolicyKind.ACCESS, table, access(permit, about=table.key))
    found = replays.replayed(proposal(crowd, now, now.with_policy(draft)), days=1)
    assert dict(found.counts) == {Fate.ALLOWED: 1}


def test_it_tells_times_apart_only_where_a_policy_does(crowd: Crowd) -> None:
    record(crowd, 60)
    noon = timezone.now() - timedelta(minutes=30)
    late = f'context.now < datetime("{noon.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")'
    text = f'forbid (principal, action == Action::"table.query", resource) when {{ {late} }};'
    now = crowd.now
    top = crowd.company.securable("workspace")
    then = now.with_policy(crowd.policy("late", PolicyKind.ACCESS, top, access(text)))
    assert then.lens.moment(noon - timedelta(days=1)) != then.lens.moment(noon)
    assert then.lens.moment(noon + timedelta(1)) == then.lens.moment(noon + timedelta(2))
    found = replays.replayed(proposal(crowd, now, then), days=1)
    early = {one.occurrences.last_at < noon for one in found.affected}
    assert early == {True}
    assert found.counts[Fate.FAILS] > 0
