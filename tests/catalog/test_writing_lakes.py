"""The one writer: jobs in order, each committed exactly once, files taken whole or not at all."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
from typing import Any

import duckdb
import pytest

from accounts.domain import Actor
from catalog import lake, storage
from catalog import services as catalogs
from catalog.domain import JobKind, JobState, UploadFormat, UploadMode
from catalog.locks import held_alone
from catalog.models import Catalog, Job
from catalog.services import jobs, uploads
from catalog.writer import process
from tests.catalog.lakes import count_rows
from workspaces.models import Workspace

SLOW_INSERT = (
    "INSERT INTO lake.main.t SELECT sum(a.range) FROM range(20000) a, range(20000) b"
    " GROUP BY a.range"
)
pytestmark = pytest.mark.django_db(transaction=True)


def upload(actor: Actor, catalog: Catalog, content: bytes, **given: Any) -> Job:
    arguments = {
        "schema": "main",
        "table": "t",
        "file_name": "my file.csv",
        "format": UploadFormat.CSV,
        "mode": UploadMode.CREATE,
    } | given
    return catalogs.upload_table(
        actor=actor,
        catalog=catalog,
        file=io.BytesIO(content),
        size_bytes=len(content),
        **arguments,
    )


def problem_of(job: Job) -> dict[str, Any]:
    assert job.problem is not None
    return dict(job.problem)


def finished(catalog: Catalog) -> Job:
    job = jobs.run_next_job(catalog)
    assert job is not None
    return job


@pytest.fixture
def flights(workspace: Workspace, owner: Actor) -> Catalog:
    catalog = catalogs.create_catalog(actor=owner, workspace=workspace, name="flights")
    job = finished(catalog)
    assert job.state == JobState.SUCCEEDED, job.problem
    return catalog


def test_it_makes_an_empty_lake(flights: Catalog) -> None:
    assert lake.schemas(flights, lake.latest_snapshot(flights).snapshot_id) == ["main"]


def as_parquet(rows: str) -> bytes:
    path = f"{os.environ['UPEND_DATA_DIR']}/upload.parquet"
    duckdb.execute(f"COPY (SELECT * FROM {rows}) TO '{path}' (FORMAT parquet)")
    with open(path, "rb") as stream:  # noqa: PTH123
        return stream.read()


@pytest.mark.parametrize("form", list(UploadFormat))
def test_it_creates_and_appends_from_a_file(
    flights: Catalog, owner: Actor, form: UploadFormat
) -> None:
    first = {
        UploadFormat.CSV: b"id,when,name\n1,2020-01-01,007\n2,,x\n",
        UploadFormat.JSON: b'{"id":1,"when":"2020-01-01","name":"007"}\n{"id":2,"name":"x"}\n',
        UploadFormat.PARQUET: as_parquet(
            "(VALUES (1, DATE '2020-01-01', '007'), (2, NULL, 'x')) v(id, \"when\", name)"
        ),
    }[form]
    more = {
        UploadFormat.CSV: b"NAME,ID\n008,3\n",
        UploadFormat.JSON: b'[{"NAME":"008","ID":3}]',
        UploadFormat.PARQUET: as_parquet("(VALUES ('008', 3)) v(NAME, ID)"),
    }[form]
    job = upload(owner, flights, first, format=form)
    assert finished(flights).result == {
        "rows": 2,
        "snapshot_id": lake.latest_snapshot(flights).snapshot_id,
    }
    upload(owner, flights, more, format=form, mode=UploadMode.APPEND)
    done = finished(flights)
    assert done.state == JobState.SUCCEEDED, done.problem
    newest = lake.latest_snapshot(flights).snapshot_id
    table = lake.table(flights, newest, "main", "t")
    assert table is not None
    assert table.record_count == 3
    assert [c.name for c in table.top_columns] == ["id", "when", "name"]
    assert table.top_columns[1].duckdb_type == "DATE"
    with pytest.raises(storage.ObjectMissing):
        storage.hosted().size(job.arguments["staged_key"])


@pytest.mark.parametrize(
    ("content", "form", "says"),
    [
        (b"a,b\n" + b"1,2\n" * 50_000 + b"1,2,3\n", "csv", "line 50002"),
        (b'{"a":1}\n{"a":2\n', "json", "my file"),
        (b"PAR1 nothing", "parquet", "my file"),
    ],
)
def test_it_says_what_is_wrong_with_a_file_and_writes_nothing(
    flights: Catalog, owner: Actor, content: bytes, form: str, says: str
) -> None:
    before = lake.latest_snapshot(flights)
    upload(owner, flights, content, format=UploadFormat(form))
    job = finished(flights)
    assert job.state == JobState.FAILED
    assert says in problem_of(job)["detail"]
    assert "s3://" not in json.dumps(job.problem)
    assert job.attempts == 1
    assert lake.latest_snapshot(flights) == before


def test_it_refuses_an_empty_file(flights: Catalog, owner: Actor) -> None:
    with pytest.raises(uploads.EmptyUpload):
        upload(owner, flights, b"")


def test_it_names_the_line_that_does_not_fit_the_table(flights: Catalog, owner: Actor) -> None:
    upload(owner, flights, b"a,b\n1,2\n")
    finished(flights)
    upload(owner, flights, b"a,b\n1,2\n3,oops\n", mode=UploadMode.APPEND)
    job = finished(flights)
    assert problem_of(job)["line"] == 3
    assert "oops" in problem_of(job)["detail"]
    assert count_rows(flights, "t") == 1


def test_it_names_columns_the_table_does_not_have(flights: Catalog, owner: Actor) -> None:
    upload(owner, flights, b"a,b\n1,2\n")
    finished(flights)
    upload(owner, flights, b"a,c\n1,2\n", mode=UploadMode.APPEND)
    problem = problem_of(finished(flights))
    assert problem["code"] == "unknown-columns"
    assert "a, b" in problem["hint"]


def test_it_refuses_to_create_a_table_twice(flights: Catalog, owner: Actor) -> None:
    upload(owner, flights, b"a\n1\n")
    finished(flights)
    with pytest.raises(uploads.TableExists):
        upload(owner, flights, b"a\n1\n", table="T".lower())


def test_it_appends_once_for_one_key(flights: Catalog, owner: Actor) -> None:
    upload(owner, flights, b"a\n1\n")
    one = upload(owner, flights, b"a\n2\n", mode=UploadMode.CREATE, table="u", idempotency_key="k")
    two = upload(owner, flights, b"a\n2\n", mode=UploadMode.CREATE, table="u", idempotency_key="k")
    assert one.id == two.id
    with pytest.raises(catalogs.IdempotencyConflict):
        upload(owner, flights, b"a\n2\n", table="other", idempotency_key="k")


def test_it_runs_jobs_in_the_order_they_came(flights: Catalog, owner: Actor) -> None:
    texts = [
        ["CREATE TABLE lake.main.t (i INTEGER)"],
        [f"INSERT INTO lake.main.t SELECT {i} FROM range(100)" for i in range(3)],
        ["DELETE FROM lake.main.t WHERE i = 1"],
    ]
    for statements in texts:
        catalogs.enqueue_job(
            actor=owner,
            catalog=flights,
            kind=JobKind.STATEMENTS,
            arguments={"statements": statements},
        )
    assert catalogs.run_jobs(flights.id) == 3
    assert set(Job.objects.values_list("state", flat=True)) == {"succeeded"}
    assert count_rows(flights, "t") == 200


def test_it_leaves_the_queue_to_the_worker_that_holds_the_lock(
    flights: Catalog, owner: Actor
) -> None:
    upload(owner, flights, b"a\n1\n")
    with held_alone(flights.id) as is_ours:
        assert is_ours
        assert catalogs.run_jobs(flights.id) == 0
    assert catalogs.run_jobs(flights.id) == 1


def test_it_finds_the_commit_of_a_writer_that_died_after_it(flights: Catalog, owner: Actor) -> None:
    upload(owner, flights, b"a\n1\n2\n")
    finished(flights)
    job = upload(owner, flights, b"a\n3\n", mode=UploadMode.APPEND)
    job.catalog = flights
    assert process.run(job, lambda _: None).result is not None  # committed, and nobody noted it
    Job.objects.filter(id=job.id).update(state=JobState.RUNNING, attempts=1)
    done = finished(flights)
    assert done.state == JobState.SUCCEEDED
    assert done.result is not None
    assert done.result["repeated"] is True
    assert count_rows(flights, "t") == 3


def test_it_repeats_the_work_of_a_writer_that_was_killed_before_its_commit(
    flights: Catalog, owner: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogs.enqueue_job(
        actor=owner,
        catalog=flights,
        kind=JobKind.STATEMENTS,
        arguments={
            "statements": ["CREATE TABLE lake.main.t (i BIGINT)", SLOW_INSERT],
        },
    )
    killed: list[int] = []
    start = subprocess.Popen

    def remembering(*given: Any, **named: Any) -> Any:
        started = start(*given, **named)
        killed.append(started.pid)
        return started

    monkeypatch.setattr(subprocess, "Popen", remembering)

    def kill(job: Job, progress: dict[str, Any]) -> None:
        if progress.get("step") == 1 and len(killed) == 1:
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(jobs, "_heard", kill)
    first = finished(flights)
    assert (first.state, problem_of(first)["code"]) == (JobState.QUEUED, "writer-gone")
    second = finished(flights)
    assert second.state == JobState.SUCCEEDED, second.problem
    assert second.attempts == 2
    assert count_rows(flights, "t") == 20000


def test_it_publishes_what_a_dead_worker_left(
    flights: Catalog, owner: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[Any] = []

    def publish(catalog_id: Any) -> bool:
        published.append(catalog_id)
        return True

    monkeypatch.setattr(jobs, "publish", publish)
    job = upload(owner, flights, b"a\n1\n")
    published.clear()
    Job.objects.filter(id=job.id).update(state=JobState.RUNNING, heartbeat_at="2020-01-01T00:00Z")
    assert catalogs.sweep_jobs() == 1
    assert published == [flights.id]
