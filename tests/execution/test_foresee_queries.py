"""A worker gets ready for a query that is being bound, and decides about it as about any other."""

from __future__ import annotations

import json

import pytest

from accounts.domain import Actor
from api.broker import broker
from execution import foreseen, services, slices
from execution.domain import QueryState, RequestedPlace
from execution.engine import services as engine
from execution.models import Query
from execution.sealed import seal
from execution.services import ahead
from execution.services.running import session_need
from governance.domain import PolicyKind
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake, written_lake
from tests.execution.ahead import spares, waiting
from tests.execution.queue import limit, machine
from tests.execution.rows import make_query
from tests.governance.publishing import mask, publish
from workspaces.models import Membership, Workspace

__all__ = ["spares", "written_lake"]

pytestmark = pytest.mark.django_db(transaction=True)

SQL = "SELECT id, email FROM people ORDER BY id"


@pytest.fixture
def people(written_lake: WrittenLake) -> WrittenLake:
    """A table of two rows, which are in the lake's metadata."""
    written_lake.run(
        "CREATE TABLE people (id INTEGER, email VARCHAR)",
        "INSERT INTO people VALUES (1, 'ana'), (2, 'ben')",
    )
    return written_lake


def submit(actor: Actor, workspace: Workspace, sql: str = SQL, *, reuse: bool = False) -> Query:
    return services.submit_query(
        actor=actor,
        workspace=workspace,
        sql=sql,
        requested=RequestedPlace.SERVER,
        reuse=reuse,
    ).query


def told() -> bytes | None:
    """Return what a worker would hear."""
    found = broker().attempt(lambda client: client.lpop(foreseen.KEY))
    return found if isinstance(found, bytes) else None


def prepare(sealed: bytes | None) -> bool:
    assert sealed is not None, "nothing was told"
    return ahead.prepare(sealed, machine())


def told_before(query: Query) -> bytes:
    """Return what was told of a query, as if its row were yet to come."""
    sealed = told()
    assert sealed is not None
    Query.objects.filter(id=query.id).update(state=QueryState.PREPARING)
    return sealed


def run_query(query: Query) -> Query:
    """Run a query that `told_before` held back."""
    Query.objects.filter(id=query.id).update(state=QueryState.QUEUED)
    services.run_query(query.id, worker="test")
    query.refresh_from_db()
    return query


def rows(actor: Actor, query: Query) -> list[list[object]]:
    assert query.state == QueryState.SUCCEEDED, query.problem
    return services.read_page(actor=actor, query=query).rows


def test_it_runs_a_query_in_the_engine_that_was_ready(
    people: WrittenLake, analyst: Actor, workspace: Workspace
) -> None:
    query = submit(analyst, workspace, "SELECT email FROM people WHERE id = 2")
    assert prepare(told_before(query))
    [waits] = waiting()
    assert rows(analyst, run_query(query)) == [["ben"]]
    assert [one.engine for one in engine._sessions._waiting] == [waits]


def test_it_runs_nothing_for_who_lost_the_right_meanwhile(
    people: WrittenLake, analyst: Actor, workspace: Workspace
) -> None:
    query = submit(analyst, workspace)
    assert prepare(told_before(query))
    Membership.objects.filter(user_id=analyst.id).delete()
    query = run_query(query)
    assert (query.state, query.problem and query.problem["code"]) == ("failed", "access-denied")
    assert len(waiting()) == 1, "nothing was asked of it"


def test_it_makes_nothing_ready_for_who_has_no_right(
    people: WrittenLake, analyst: Actor, workspace: Workspace
) -> None:
    sealed = told_before(submit(analyst, workspace))
    Membership.objects.filter(user_id=analyst.id).delete()
    assert not prepare(sealed)
    assert engine.attached_ahead() == 0


@pytest.mark.parametrize("is_person", [True, False])
def test_it_makes_nothing_ready_for_nobody(
    people: WrittenLake, analyst: Actor, workspace: Workspace, is_person: bool
) -> None:
    said = foreseen.read(told_before(submit(analyst, workspace)))
    assert said is not None
    gone = said | {"principal": str(workspace.id), "is_person": is_person}
    assert not prepare(seal(foreseen.KIND, foreseen.KEY, json.dumps(gone).encode()))
    assert engine.attached_ahead() == 0


def test_it_makes_nothing_ready_that_shows_what_is_masked_now(
    cast: Cast, people: WrittenLake, analyst: Actor, workspace: Workspace
) -> None:
    sealed = told_before(submit(analyst, workspace))
    hide(cast, people)
    assert not prepare(sealed)
    assert engine.attached_ahead() == 0


def test_it_shows_masked_rows_to_who_comes_after_the_mask(
    cast: Cast, people: WrittenLake, analyst: Actor, workspace: Workspace
) -> None:
    assert prepare(told_before(submit(analyst, workspace)))
    hide(cast, people)
    later = submit(analyst, workspace)
    told_before(later)
    assert rows(analyst, run_query(later)) == [[1, None], [2, None]]
    assert len(waiting()) == 1


def hide(cast: Cast, lake: WrittenLake) -> None:
    """Mask the emails for everyone."""
    table = lake.table("people").securable(lake.catalog.securable)
    (email,) = (column for column in table.columns if column.name == "email")
    publish(cast, "mask-email", PolicyKind.MASK, table, mask(email, method="null"))


def test_it_serves_no_query_of_a_later_snapshot(
    people: WrittenLake, analyst: Actor, workspace: Workspace
) -> None:
    assert prepare(told_before(submit(analyst, workspace)))
    people.run("INSERT INTO people VALUES (3, 'cho')")
    later = submit(analyst, workspace)
    told_before(later)
    assert [row[0] for row in rows(analyst, run_query(later))] == [1, 2, 3]
    assert len(waiting()) == 1


def test_it_makes_nothing_ready_while_somebody_waits(
    people: WrittenLake, analyst: Actor, owner: Actor, workspace: Workspace
) -> None:
    sealed = told_before(submit(analyst, workspace))
    make_query(workspace, owner)
    assert not prepare(sealed)


@pytest.mark.parametrize("cap", ["max_running_queries", "max_running_per_principal"])
def test_it_makes_nothing_ready_beyond_a_cap(
    people: WrittenLake, analyst: Actor, workspace: Workspace, cap: str
) -> None:
    limit(workspace, **{cap: 1})
    sealed = told_before(submit(analyst, workspace))
    make_query(workspace, analyst, state=QueryState.RUNNING, worker="two/1")
    assert not prepare(sealed)


def test_it_makes_nothing_ready_where_no_processor_is_free(
    people: WrittenLake,
    analyst: Actor,
    owner: Actor,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ahead, "threads_of_this_machine", lambda: 4)
    sealed = told_before(submit(analyst, workspace))
    first, _ = (
        make_query(workspace, owner, state=QueryState.RUNNING, worker=machine().worker)
        for _ in range(2)
    )
    assert not prepare(sealed)
    first.delete()
    assert prepare(sealed)


def test_it_asks_nothing_while_this_process_runs_queries(
    people: WrittenLake, analyst: Actor, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "threads_of_this_machine", lambda: 2)
    query = submit(analyst, workspace)
    sealed = told_before(query)
    build, tried = slices.build, []

    def built(*given: object, **more: object) -> slices.Built:
        tried.append((engine.running(), prepare(sealed)))
        return build(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(slices, "build", built)
    assert rows(analyst, run_query(query)) == [[1, "ana"], [2, "ben"]]
    assert tried == [(1, False)]
    assert engine.running() == 0


def test_it_makes_nothing_ready_where_kept_rows_are_the_answer(
    people: WrittenLake, analyst: Actor, workspace: Workspace
) -> None:
    first = submit(analyst, workspace, reuse=True)
    sealed = told_before(first)
    run_query(first)
    engine.discard_spare()  # with the engine that was kept
    engine.keep_spare()
    assert submit(analyst, workspace, reuse=True).cached_from_id == first.id
    assert told() is not None, "nobody knows before it is bound"
    assert not prepare(sealed)


def test_it_believes_only_what_upend_says_and_only_for_a_moment(
    people: WrittenLake, analyst: Actor, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = told_before(submit(analyst, workspace))
    said = foreseen.read(sealed)
    assert said is not None
    assert b"people" not in sealed
    assert foreseen.read(sealed[:-1] + bytes([sealed[-1] ^ 1])) is None
    assert foreseen.read(json.dumps(said).encode()) is None
    assert foreseen.read(b"") is None
    old = said | {"at": said["at"] - foreseen.SECONDS - 1}
    assert not prepare(seal(foreseen.KIND, foreseen.KEY, json.dumps(old).encode()))
    elsewhere = said | {"workspace": said["principal"]}
    assert not prepare(seal(foreseen.KIND, foreseen.KEY, json.dumps(elsewhere).encode()))
    monkeypatch.setattr("django.conf.settings.SECRET_KEY", "of another installation")
    assert foreseen.read(sealed) is None


def test_it_tells_no_worker_of_what_none_would_run_soon(
    people: WrittenLake, analyst: Actor, owner: Actor, workspace: Workspace
) -> None:
    services.explain_query(actor=analyst, workspace=workspace, sql=SQL)
    submit(analyst, workspace, "SELECT 1")  # of no table
    submit(analyst, workspace)  # somebody waits already
    assert told() is None


def test_it_tells_no_worker_of_large_tables(
    people: WrittenLake, analyst: Actor, workspace: Workspace
) -> None:
    people.run("INSERT INTO people SELECT range, 'x' FROM range(20)")
    for limit_of in ("FEW_FILES", "SMALL_SCAN_BYTES", "MOST_INLINED"):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(foreseen, limit_of, -1)
            submit(analyst, workspace)
        assert told() is None
        Query.objects.all().delete()
    submit(analyst, workspace)
    assert told() is not None


def test_it_plans_all_the_same_where_the_broker_is_away(
    people: WrittenLake, analyst: Actor, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(broker()), "attempt", lambda *_: None)
    assert submit(analyst, workspace).state == QueryState.QUEUED


def test_it_needs_what_the_query_needs(
    people: WrittenLake, analyst: Actor, workspace: Workspace
) -> None:
    """The promise is worth nothing where a row and its foresight part."""
    query = submit(analyst, workspace)
    said = foreseen.read(told_before(query))
    assert said is not None
    assert session_need(ahead._query(said, workspace)).covers(session_need(query))
