"""An equal question is answered from the rows that are kept, and nothing unequal ever is."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import duckdb
import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.domain import Actor
from audit.models import AuditRecord
from catalog import services as catalogs
from catalog.domain import UploadFormat, UploadMode
from catalog.lake.changes import touched_tables
from catalog.models import Catalog
from catalog.selectors import UnknownTable
from catalog.services import jobs
from catalog.storage import hosted
from execution import planning, reuse, services
from execution.bind import HiddenTable
from execution.domain import Place, Plan, QueryState, RequestedPlace, ResultFormat
from execution.estimate import CLOCK
from execution.gate import check, functions
from execution.models import Query
from execution.services import cache
from execution.services.results import ResultExpired
from governance.domain import ColumnMask, Obligations, RowFilter
from governance.services import AccessDenied
from tests.cast import Cast
from tests.execution.tables import table
from workspaces.models import Membership, Workspace

pytestmark = pytest.mark.django_db(transaction=True)

QUERIES = "/api/v1/workspaces/flight-ops/queries"
COUNT = "SELECT carrier, count(*) AS n FROM delays GROUP BY ALL ORDER BY ALL"
ROWS = [["C0", 2], ["C1", 1]]
SignedIn = Callable[[Actor], Client]


@pytest.fixture
def flights(workspace: Workspace, owner: Actor) -> Catalog:
    catalog = catalogs.create_catalog(actor=owner, workspace=workspace, name="flights")
    jobs.run_next_job(catalog)
    load(owner, catalog, "delays", "id,carrier\n1,C0\n2,C0\n3,C1\n")
    return catalog


def load(
    owner: Actor, catalog: Catalog, name: str, text: str, mode: UploadMode = UploadMode.CREATE
) -> None:
    catalogs.upload_table(
        actor=owner,
        catalog=catalog,
        file=io.BytesIO(text.encode()),
        size_bytes=len(text),
        schema="main",
        table=name,
        file_name=f"{name}.csv",
        format=UploadFormat.CSV,
        mode=mode,
    )
    job = jobs.run_next_job(catalog)
    assert job is not None
    assert job.problem is None, job.problem


def ask(actor: Actor, workspace: Workspace, sql: str = COUNT, **more: Any) -> Query:
    """Submit a query, and run it where it was not answered at once."""
    query = services.submit_query(actor=actor, workspace=workspace, sql=sql, **more).query
    if query.state == QueryState.QUEUED:
        services.run_query(query.id, worker="test")
        query.refresh_from_db()
    assert query.state == QueryState.SUCCEEDED, query.problem
    return query


def rows(actor: Actor, query: Query) -> list[list[Any]]:
    return services.read_page(actor=actor, query=query).rows


def exists(query: Query) -> bool:
    return bool(hosted().keys(f"results/{query.workspace_id}/{query.cached_from_id or query.id}"))


# --- Hits -------------------------------------------------------------------------------------
def test_it_answers_an_equal_question_at_once_and_says_from_where(
    flights: Catalog, analyst: Actor, workspace: Workspace
) -> None:
    first = ask(analyst, workspace)
    again = ask(
        analyst, workspace, COUNT.replace("SELECT", "select").replace(" FROM", "\n-- again\nFROM")
    )
    assert (again.cached_from, again.cached_at) == (first, first.finished_at)
    assert (again.attempts, again.result_key) == (0, first.result_key)
    assert rows(analyst, again) == rows(analyst, first) == ROWS
    assert again.result_expires_at == first.result_expires_at
    third = ask(analyst, workspace)
    assert third.cached_from == first, "a copy names the run, not another copy"
    record = AuditRecord.objects.get(event="query.succeeded", target_id=str(again.id))
    assert record.after is not None
    assert record.after["cached"]["from"] == str(first.id)
    assert again.plan["why"] == "The server has the answer of an equal query already."


def test_it_shares_rows_between_people_who_may_see_the_same(
    flights: Catalog, analyst: Actor, steward: Actor, workspace: Workspace
) -> None:
    first = ask(analyst, workspace)
    other = ask(steward, workspace)
    assert other.cached_from == first
    assert rows(steward, other) == ROWS


def test_it_shows_over_http_where_rows_come_from_and_runs_anew_when_asked(
    flights: Catalog, analyst: Actor, workspace: Workspace, signed_in: SignedIn
) -> None:
    first, client = ask(analyst, workspace), signed_in(analyst)

    def post(body: dict[str, Any], **headers: str) -> Any:
        text = json.dumps({"sql": COUNT} | body)
        return client.post(QUERIES, text, content_type="application/json", headers=headers).json()

    hit = post({})
    assert (hit["state"], hit["place"]) == ("succeeded", "server")
    assert hit["cached"]["from"] == str(first.id)
    assert client.get(hit["links"]["result"]).json()["rows"] == ROWS
    assert client.get(f"{QUERIES}/{first.id}").json()["cached"] is None
    for fresh in (post({"cache": False}), post({}, **{"Cache-Control": "max-age=0, no-cache"})):
        assert (fresh["state"], fresh["cached"]) == ("queued", None)


def test_it_answers_auto_from_the_server_and_never_a_query_that_must_run_here(
    flights: Catalog, analyst: Actor, workspace: Workspace
) -> None:
    ask(analyst, workspace, requested=RequestedPlace.SERVER)
    assert ask(analyst, workspace, requested=RequestedPlace.AUTO).cached_from is not None
    plan = planning.plan(actor=analyst, workspace=workspace, sql=COUNT)
    local = replace(plan, requested=RequestedPlace.LOCAL)
    row = Query(workspace=workspace, place=Place.LOCAL, plan={})
    assert not cache.answer(row, local, look=True)
    assert row.reuse_key == ""


def test_it_still_hits_after_another_table_changed(
    flights: Catalog, analyst: Actor, owner: Actor, workspace: Workspace
) -> None:
    first = ask(analyst, workspace)
    load(owner, flights, "airports", "code\nZRH\n")
    load(owner, flights, "airports", "code\nGVA\n", UploadMode.APPEND)
    again = ask(analyst, workspace)
    assert again.cached_from == first
    assert again.plan["snapshots"] != first.plan["snapshots"]


# --- Misses -----------------------------------------------------------------------------------
def test_it_runs_anew_after_the_table_changed(
    flights: Catalog, analyst: Actor, owner: Actor, workspace: Workspace
) -> None:
    first = ask(analyst, workspace)
    load(owner, flights, "delays", "id,carrier\n4,C1\n", UploadMode.APPEND)
    again = ask(analyst, workspace)
    assert again.cached_from is None
    assert rows(analyst, again) == [["C0", 2], ["C1", 2]]
    then = ask(analyst, workspace, snapshots=first.plan["snapshots"])
    assert then.cached_from == first, "the older snapshot still has its answer"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT random() AS r FROM delays",
        "SELECT uuid() AS u",
        "SELECT now() AS t",
        "SELECT CURRENT_DATE AS d",
        "SELECT age(TIMESTAMP '2020-01-01') AS a",
        "SELECT id FROM delays USING SAMPLE 2 ROWS",
        "SELECT list_aggregate([1, 2], 'reservoir_quantile', 0.5) AS q",
    ],
)
def test_it_never_reuses_what_may_answer_otherwise(
    flights: Catalog, analyst: Actor, workspace: Workspace, sql: str
) -> None:
    first, second = ask(analyst, workspace, sql), ask(analyst, workspace, sql)
    assert (first.reuse_key, second.reuse_key, second.cached_from) == ("", "", None)


def test_it_never_reuses_a_truncated_result(
    flights: Catalog, analyst: Actor, workspace: Workspace
) -> None:
    Workspace.objects.update(max_result_rows=1)
    workspace.refresh_from_db()
    assert ask(analyst, workspace).truncated
    assert ask(analyst, workspace).cached_from is None
    Workspace.objects.update(max_result_rows=100)
    workspace.refresh_from_db()
    assert not ask(analyst, workspace).truncated


def test_it_runs_anew_where_the_rows_are_over_or_about_to_be(
    flights: Catalog, analyst: Actor, workspace: Workspace
) -> None:
    first = ask(analyst, workspace)
    soon = timezone.now() + timedelta(seconds=30)
    Query.objects.filter(id=first.id).update(result_expires_at=soon)
    assert ask(analyst, workspace).cached_from is None


@pytest.mark.parametrize("damage", [b"", b"not what it was"])
def test_it_runs_anew_where_the_object_is_gone_or_another(
    flights: Catalog, analyst: Actor, workspace: Workspace, damage: bytes
) -> None:
    first = ask(analyst, workspace)
    hosted().delete(first.result_key)
    if damage:
        hosted().put_bytes(first.result_key, damage)
    again = ask(analyst, workspace)
    assert again.cached_from is None
    assert rows(analyst, again) == ROWS
    first.refresh_from_db()
    assert first.reuse_key == "", "it is not tried a second time"


# --- Rights -----------------------------------------------------------------------------------
def test_it_decides_rights_before_it_looks_for_rows_and_again_when_they_are_read(
    flights: Catalog, analyst: Actor, cast: Cast, workspace: Workspace
) -> None:
    ask(analyst, workspace)
    hit = ask(cast.actor("steward"), workspace)
    assert hit.cached_from is not None
    Membership.objects.filter(user_id=cast.users["steward"].id).delete()
    with pytest.raises(AccessDenied):
        services.read_page(actor=cast.actor("steward"), query=hit)
    with pytest.raises(UnknownTable):
        services.submit_query(actor=cast.actor("steward"), workspace=workspace, sql=COUNT)


def governed(plan: Plan, obligations: Obligations) -> Plan:
    """Return the plan as it is for someone whom a policy shows less."""
    columns = {"id": "BIGINT", "carrier": "VARCHAR"}
    view = HiddenTable("t1", table("delays", columns), obligations).view()
    return replace(plan, tables=tuple(entry | {"view": view} for entry in plan.tables))


def test_it_shares_nothing_between_people_whom_policies_show_different_things(
    flights: Catalog, analyst: Actor, workspace: Workspace
) -> None:
    plan = planning.plan(actor=analyst, workspace=workspace, sql=COUNT)
    shown = [
        Obligations(),
        Obligations(masks=(ColumnMask("carrier", "'x'", "hide"),)),
        Obligations(masks=(ColumnMask("carrier", "'y'", "hide"),)),
        Obligations(row_filters=(RowFilter("carrier = 'C0'", "region"),)),
        Obligations(row_filters=(RowFilter("carrier = 'C1'", "region"),)),
        Obligations(hidden_columns=frozenset({"id"})),
    ]
    keys = [reuse.key_of(governed(plan, one), workspace) for one in shown]
    assert "" not in keys
    assert len(set(keys)) == len(shown)
    assert keys == [reuse.key_of(governed(plan, one), workspace) for one in shown]
    changing = RowFilter("id > epoch(now())", "recent")
    assert reuse.key_of(governed(plan, Obligations(row_filters=(changing,))), workspace) == ""


def test_it_keeps_apart_what_differs_in_a_workspace_s_limits(
    flights: Catalog, analyst: Actor, workspace: Workspace
) -> None:
    plan = planning.plan(actor=analyst, workspace=workspace, sql=COUNT)
    before = reuse.key_of(plan, workspace)
    workspace.max_result_rows = 7
    assert reuse.key_of(plan, workspace) != before


# --- The end of keeping -----------------------------------------------------------------------
def test_it_keeps_the_object_until_the_last_query_lets_go(
    flights: Catalog, analyst: Actor, workspace: Workspace
) -> None:
    first = ask(analyst, workspace)
    hit = ask(analyst, workspace)
    Query.objects.filter(id=first.id).update(result_expires_at=timezone.now())
    assert services.expire_results() == 1
    first.refresh_from_db()
    with pytest.raises(ResultExpired):
        services.read_page(actor=analyst, query=first)
    assert rows(analyst, hit) == ROWS
    Query.objects.filter(id=hit.id).update(result_expires_at=timezone.now())
    assert services.expire_results() == 1
    assert not exists(hit)


def test_it_writes_a_format_once_for_all_who_share_the_rows(
    flights: Catalog, analyst: Actor, workspace: Workspace
) -> None:
    first = ask(analyst, workspace)
    services.locate(actor=analyst, query=first, form=ResultFormat.PARQUET)
    services.run_export(first.exports.get().id)
    hit = ask(analyst, workspace)
    assert services.locate(actor=analyst, query=hit, form=ResultFormat.PARQUET) is not None
    Query.objects.update(result_expires_at=timezone.now())
    services.expire_results()
    assert not exists(first)


def test_it_never_hands_out_rows_that_expire_at_the_same_moment(
    flights: Catalog, analyst: Actor, workspace: Workspace
) -> None:
    """Whoever comes first, a query that was answered has its object."""
    for _ in range(3):
        source = ask(analyst, workspace, reuse=False)
        barrier = threading.Barrier(2)
        found: list[Query] = []

        def hit(barrier: threading.Barrier = barrier, found: list[Query] = found) -> None:
            barrier.wait()
            found.append(services.submit_query(actor=analyst, workspace=workspace, sql=COUNT).query)
            connection.close()

        def expire(barrier: threading.Barrier = barrier, source: Query = source) -> None:
            barrier.wait()
            services.let_go(Query.objects.filter(id=source.id))
            connection.close()

        threads = [threading.Thread(target=hit), threading.Thread(target=expire)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (query,) = found
        assert query.state == QueryState.QUEUED or rows(analyst, query) == ROWS
        Query.objects.update(reuse_key="")


# --- What the lists say -----------------------------------------------------------------------
def test_it_lists_every_function_that_the_engine_calls_changing() -> None:
    """⚑ An engine upgrade may add such functions, or come to name them."""
    names = {
        name
        for (name,) in duckdb.execute(
            "SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE stability IN"
            " ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')"
            " OR regexp_matches(function_name, 'current_|local_?time|random|uuidv|^uuid$')"
        ).fetchall()
    }
    assert names & functions.allowed() - functions.CHANGING == set()
    assert CLOCK <= functions.CHANGING
    listed = functions.CHANGING | functions.SAMPLING | functions.BY_NAME
    assert listed - functions.allowed() <= {
        "current_time", "current_timestamp", "localtime", "localtimestamp",
    }  # fmt: skip
    assert not functions.is_repeatable({"sum", "never_heard_of"})


def test_it_tells_texts_apart_that_differ_in_more_than_space() -> None:
    def digest(sql: str) -> str:
        return check(sql).digest

    base = digest("SELECT a, 'x' AS s FROM t")
    assert digest("select  a , 'x' as s\nfrom t -- why not") == base
    others = [
        "SELECT A, 'x' AS s FROM t",
        "SELECT a, 'X' AS s FROM t",
        "SELECT a, 'x' AS s FROM t LIMIT 1",
        "SELECT DISTINCT a, 'x' AS s FROM t",
        "SELECT a, 'x' AS s FROM u",
        """SELECT a, '"query_location":12' AS s FROM t""",
        """SELECT a, '"query_location":13' AS s FROM t""",
        "SELECT a, 'x' AS s FROM t ORDER BY a NULLS FIRST",
        "SELECT a, 'x' AS s FROM t ORDER BY a NULLS LAST",
    ]
    assert len({base, *map(digest, others)}) == len(others) + 1


@pytest.mark.parametrize(
    ("changes", "tables"),
    [
        ("inserted_into_table:1", {1}),
        ("inserted_into_table:1,deleted_from_table:23", {1, 23}),
        ('created_table:"main"."a,b:7""c",inserted_into_table:5', {5}),
        ('created_table:"main"."t"', set()),
        ("deleted_from_table:1,inline_flush:2", {1}),
        ("", None),
        ("altered_table:1", None),
        ("inserted_into_table:1,compacted_table:2", None),
        ("inserted_into_table:1 ", None),
        ("inserted_into_table:1,", None),
    ],
)
def test_it_understands_what_a_commit_touched_or_says_that_it_does_not(
    changes: str, tables: set[int] | None
) -> None:
    assert touched_tables(changes) == tables
