"""Rows sent to a table: checked, kept, committed in groups, once, in the order they came."""

from __future__ import annotations

import io
import os
import re
from datetime import timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from accounts.domain import SYSTEM, Actor
from audit import services as audit
from audit.domain import Event
from audit.models import AuditRecord
from catalog import lake, storage
from catalog import services as catalogs
from catalog.domain import JobKind, JobState
from catalog.ingest import groups, tables
from catalog.ingest.acceptance import RowsRejected
from catalog.ingest.domain import BatchState, IngestMode, OnError, RowFormat, SchemaMode
from catalog.models import IngestBatch, IngestPayload, Job
from catalog.services import ingest
from catalog.writer import kept
from catalog.writer.process import Outcome
from catalog.writer.rows import FLUSHED_ROWS
from governance import securables
from governance import services as governance
from governance.services import AccessDenied
from tests.catalog.ingest import Shop

pytestmark = pytest.mark.django_db(transaction=True)


def arrow(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def parquet(rows: str) -> bytes:
    path = f"{os.environ['UPEND_DATA_DIR']}/rows.parquet"
    duckdb.execute(f"COPY (SELECT * FROM {rows}) TO '{path}' (FORMAT parquet)")
    with open(path, "rb") as stream:  # noqa: PTH123
        return stream.read()


@pytest.mark.parametrize(
    ("form", "body"),
    [
        (RowFormat.NDJSON, b'{"id":1,"NAME":"007","n":3}\n{"id":2}\n'),
        (RowFormat.JSON, b'[{"id":1,"name":"007","n":"3"},{"id":2}]'),
        (RowFormat.CSV, b"id,name,n\n1,007,3\n2,,\n"),
        (RowFormat.TSV, b"ID\tname\tn\n1\t007\t3\n2\t\t\n"),
        (RowFormat.ARROW, arrow(pa.table({"id": [1, 2], "name": ["007", None], "n": [3, None]}))),
    ],
)
def test_it_appends_rows_of_every_form(shop: Shop, form: RowFormat, body: bytes) -> None:
    batch = shop.send(body, form=form)
    assert (batch.state, batch.is_checked, batch.row_count) == (BatchState.WAITING, True, 2)
    shop.work()
    batch.refresh_from_db()
    assert (batch.state, batch.problem) == (BatchState.COMMITTED, None)
    assert batch.snapshot_id == lake.latest_snapshot(shop.catalog).snapshot_id
    assert shop.rows() == [(1, "007", 3), (2, None, None)]
    assert not IngestPayload.objects.exists()


def test_it_reads_parquet_in_the_writer_only(shop: Shop) -> None:
    good = shop.send(parquet("(VALUES (1, 'x'), (2, 'y')) v(id, name)"), form=RowFormat.PARQUET)
    bad = shop.send(parquet("(VALUES ('a', 1)) v(id, n)"), form=RowFormat.PARQUET)
    junk = shop.send(b"PAR1 nothing", form=RowFormat.PARQUET)
    assert not good.is_checked
    shop.work()
    for batch in (good, bad, junk):
        batch.refresh_from_db()
    assert (good.state, good.row_count) == (BatchState.COMMITTED, 2)
    assert bad.errors == [{"row": 1, "column": "id", "reason": "is not a BIGINT", "value": "a"}]
    assert [one.problem["code"] for one in (bad, junk) if one.problem] == [
        "rows-rejected",
        "bad-rows-body",
    ]
    assert len(shop.rows()) == 2


def test_it_commits_what_waits_as_one_snapshot_without_a_file(shop: Shop) -> None:
    before = lake.latest_snapshot(shop.catalog).snapshot_id
    batches = [shop.send([{"id": i, "n": i}]) for i in range(40)]
    shop.work()
    assert lake.latest_snapshot(shop.catalog).snapshot_id == before + 1
    assert [row[0] for row in shop.rows()] == list(range(40))
    assert set(IngestBatch.objects.values_list("state", "snapshot_id")) == {
        (BatchState.COMMITTED, before + 1)
    }
    table = lake.table(shop.catalog, before + 1, "main", "t")
    assert table is not None
    assert (table.file_count, table.inlined_count) == (0, len(batches))


def test_it_writes_inlined_rows_out_however_often_its_writer_restarts(shop: Shop) -> None:
    shop.lake.execute(f"SET ducklake_default_data_inlining_row_limit = {FLUSHED_ROWS}")
    shop.lake.execute(f"INSERT INTO lake.main.t (id) SELECT * FROM range({FLUSHED_ROWS - 1})")
    files = "SELECT count(*) FROM ducklake_list_files('lake', 't')"
    assert shop.lake.execute(files) == [(0,)]
    shop.send([{"id": -1}])
    shop.work()  # by a writer that has seen one row
    assert shop.lake.execute(files) == [(1,)]
    assert len(shop.rows("id")) == FLUSHED_ROWS


def test_it_names_the_rows_that_do_not_fit_and_takes_none(shop: Shop) -> None:
    rows: list[dict[str, Any]] = [{"id": 1}, {"id": "x"}, {"id": None}, {"id": 4, "n": 1.5}]
    with pytest.raises(RowsRejected) as refused:
        shop.send(rows)
    assert refused.value.extra["rejected_count"] == 3
    assert [(e["row"], e["column"]) for e in refused.value.extra["errors"]] == [
        (2, "id"),
        (3, "id"),
        (4, "n"),
    ]
    assert not IngestBatch.objects.exists()
    audit.record_denial(refused.value)
    record = AuditRecord.objects.get(event=Event.INGEST_REJECTED)
    assert record.after == {"mode": "append", "rows": 3, "reason": "rows-rejected"}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([{"id": 1, "other": 2}], "unknown-columns"),
        ([{"name": "x"}], "missing-columns"),
        ([{"id": 1, "ID": 2}], "two-columns-of-a-name"),
    ],
)
def test_it_refuses_columns_that_do_not_fit(
    shop: Shop, rows: list[dict[str, Any]], reason: str
) -> None:
    with pytest.raises(RowsRejected) as refused:
        shop.send(rows)
    assert refused.value.extra["reason"] == reason


def test_it_puts_bad_rows_aside_and_takes_the_others(shop: Shop) -> None:
    batch = shop.send([{"id": 1}, {"id": "x"}], on_error=OnError.QUARANTINE)
    large = shop.send(
        parquet("(VALUES ('3', 1), ('y', 2)) v(id, n)"),
        form=RowFormat.PARQUET,
        on_error=OnError.QUARANTINE,
    )
    assert (batch.row_count, batch.rejected_count) == (1, 1)
    shop.work()
    large.refresh_from_db()
    assert (large.row_count, large.rejected_count) == (1, 1)
    assert [row[0] for row in shop.rows()] == [1, 3]
    aside = shop.rows("batch_id, row_number, column_name, reason, raw", "t__rejected")
    assert aside == [
        (batch.id, 2, "id", "is not a BIGINT", '{"id": "x"}'),
        (large.id, 2, "id", "is not a BIGINT", '{"id": "y", "n": 2}'),
    ]


def test_it_keeps_no_text_of_rejected_rows_of_a_table_that_is_protected(
    shop: Shop, owner: Actor
) -> None:
    table = tables.defined(shop.catalog, "main", "t")
    assert table is not None
    securable = table.securable(shop.catalog.securable)
    governance.assign_tag(
        actor=owner, securable=securables.column(securable.columns[1], securable), tag="pii"
    )
    shop.send([{"id": "secret"}], on_error=OnError.QUARANTINE)
    shop.work()
    assert shop.rows("reason, raw", "t__rejected") == [("is not a BIGINT", None)]


def test_it_upserts_and_deletes_by_key(shop: Shop) -> None:
    shop.send([{"id": i, "name": "old", "n": i} for i in range(600)])  # a file
    shop.send([{"id": 1000, "name": "inlined"}])
    shop.work()
    changed = [{"id": 1, "n": 5}, {"id": 1000, "n": 6}, {"id": 7000, "n": 7}, {"id": 1, "n": 8}]
    shop.send(changed, mode=IngestMode.UPSERT, keys=("id",))
    shop.send([{"id": 2}, {"id": 1000}, {"id": 9}], mode=IngestMode.DELETE, keys=("ID",))
    shop.send([{"id": 9, "name": "again"}])
    shop.work()
    found = {row[0]: row[1:] for row in shop.rows()}
    assert found[1] == ("old", 8)
    assert found[7000] == (None, 7)
    assert found[9] == ("again", None)
    assert not {2, 1000} & set(found)
    assert len(found) == 600
    changes = AuditRecord.objects.filter(event=Event.ROWS_CHANGED).order_by("id")
    assert [record.after and record.after["mode"] for record in changes] == ["upsert", "delete"]


def test_it_takes_rows_in_once_for_one_key(shop: Shop) -> None:
    one = shop.send([{"id": 1}], key="k")
    assert shop.send([{"id": 1}], key="k").id == one.id
    shop.work()
    assert shop.send([{"id": 1}], key="k").id == one.id
    with pytest.raises(catalogs.IdempotencyConflict):
        shop.send([{"id": 2}], key="k")
    assert len(shop.rows()) == 1


def test_it_lets_a_table_grow_where_it_is_told_to(shop: Shop, owner: Actor) -> None:
    catalogs.change_schema_mode(
        actor=owner, catalog=shop.catalog, schema="main", table="t", mode=SchemaMode.EVOLVE
    )
    shop.send([{"id": 1, "extra": 1.5, "n": 3_000_000_000}])
    shop.send(parquet("(VALUES (2, DATE '2020-01-01')) v(id, day)"), form=RowFormat.PARQUET)
    shop.send([{"id": 3, "extra": 2}])
    shop.work()
    assert shop.rows("id, extra, n, day::VARCHAR") == [
        (1, 1.5, 3_000_000_000, None),
        (2, None, None, "2020-01-01"),
        (3, 2.0, None, None),
    ]


def test_it_refuses_alone_what_no_longer_fits(shop: Shop) -> None:
    first = shop.send([{"id": 1, "n": 1}])
    second = shop.send([{"id": 2}])
    change = catalogs.enqueue_job(
        actor=SYSTEM,
        catalog=shop.catalog,
        kind=JobKind.STATEMENTS,
        arguments={"statements": ["ALTER TABLE lake.main.t DROP COLUMN n"]},
    )
    Job.objects.filter(id=change.id).update(created_at=first.accepted_at - timedelta(seconds=1))
    shop.work()
    first.refresh_from_db()
    second.refresh_from_db()
    assert first.problem is not None
    assert first.problem["code"] == "unknown-columns"
    assert second.state == BatchState.COMMITTED


@pytest.mark.parametrize("was_noted", [True, False])
def test_it_finds_the_commit_that_a_dead_writer_made(shop: Shop, was_noted: bool) -> None:
    batch = shop.send([{"id": 1}])
    job = groups.form_group(shop.catalog)
    assert job is not None
    job.catalog = shop.catalog
    job.attempts = int(was_noted)  # else nobody looks for the mark, and its index refuses a second
    job.save(update_fields=["attempts"])
    assert groups.carry_out(job, lambda _: None).result is not None  # and nobody noted it
    kept.end_all()
    shop.work()
    batch.refresh_from_db()
    assert batch.state == BatchState.COMMITTED
    assert len(shop.rows()) == 1


def test_it_takes_a_group_apart_that_kills_its_writer(shop: Shop) -> None:
    batches = [shop.send([{"id": i}]) for i in range(3)]
    job = groups.form_group(shop.catalog)
    assert job is not None
    job.catalog = shop.catalog
    gone = {"code": "writer-gone", "detail": "x"}
    Job.objects.filter(id=job.id).update(attempts=groups.DEATHS_ALLOWED)
    job.refresh_from_db()
    groups.finish_group(job=job, outcome=Outcome(None, gone, retryable=True))
    assert set(IngestBatch.objects.values_list("state", "is_alone")) == {("waiting", True)}
    before = lake.latest_snapshot(shop.catalog).snapshot_id
    shop.work()
    assert lake.latest_snapshot(shop.catalog).snapshot_id == before + len(batches)
    assert [row[0] for row in shop.rows()] == [0, 1, 2]


def test_it_waits_for_a_storage_that_is_away(shop: Shop) -> None:
    batch = shop.send([{"id": 1}])
    job = groups.form_group(shop.catalog)
    assert job is not None
    job.catalog = shop.catalog
    job.attempts = 50
    away = {"code": "storage-unreachable", "detail": "x"}
    groups.finish_group(job=job, outcome=Outcome(None, away, retryable=True))
    assert Job.objects.get(id=job.id).state == JobState.QUEUED
    shop.work()
    batch.refresh_from_db()
    assert batch.state == BatchState.COMMITTED


def test_it_keeps_large_rows_in_the_bucket_until_they_are_committed(shop: Shop) -> None:
    rows = [{"id": i, "name": "x" * 1000} for i in range(2000)]
    batch = shop.send(rows)
    assert storage.hosted().size(batch.staged_key) > ingest.INLINE_BYTES
    shop.work()
    with pytest.raises(storage.ObjectMissing):
        storage.hosted().size(batch.staged_key)
    assert len(shop.rows()) == 2000


def test_it_refuses_more_than_may_wait(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "INGEST_WAITING_BYTES", 100)
    shop.send([{"id": 1}])
    with pytest.raises(ingest.IngestBusy) as refused:
        shop.send([{"id": 2}])
    assert refused.value.retry_after_seconds
    shop.work()
    shop.send([{"id": 2}])


def test_it_keeps_the_plans_of_what_each_request_asks(shop: Shop) -> None:
    for number in range(12):  # after five PostgreSQL compares
        shop.send([{"id": number}], key=f"k{number}")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT custom_plans FROM pg_prepared_statements"
            " WHERE statement LIKE '%catalog_ingestbatch%' AND generic_plans + custom_plans > 10"
        )
        planned = [count for (count,) in cursor.fetchall()]
    assert planned
    assert max(planned) <= 5


FINDS_FEW = re.compile(
    r"ingest_batch_unfinished|catalog_ingestbatch_pkey[^\n]*\n *Index Cond: \(id = "
)
"""By the index of what is unfinished, or by ids: the database chooses as its statistics say."""


def test_it_looks_for_waiting_rows_among_those_that_wait_only(shop: Shop) -> None:
    shop.send([{"id": 1}])
    shop.work()
    with connection.cursor() as cursor:
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        cursor.execute("SET enable_seqscan = off")  # the table is too small to tell
        cursor.execute(
            "SELECT name, cardinality(parameter_types) FROM pg_prepared_statements"
            " WHERE statement LIKE '%catalog_ingestbatch%''waiting''%'"
        )
        plans = []
        for name, count in cursor.fetchall():
            cursor.execute(f'EXPLAIN EXECUTE "{name}" ({", ".join(["NULL"] * count)})')
            plans.append("\n".join(line for (line,) in cursor.fetchall()))
        cursor.execute("RESET plan_cache_mode")
        cursor.execute("RESET enable_seqscan")
    assert len(plans) >= 6  # how things stand, kept, found, taken, read, settled
    assert any("ingest_batch_unfinished" in plan for plan in plans)
    assert [plan for plan in plans if not FINDS_FEW.search(plan)] == []


def test_it_forgets_batches_after_their_time(shop: Shop) -> None:
    old, new = shop.send([{"id": 1}]), shop.send([{"id": 2}])
    shop.work()
    IngestBatch.objects.filter(id=old.id).update(finished_at=timezone.now() - timedelta(days=2))
    assert catalogs.expire_batches() == 1
    assert IngestBatch.objects.get().id == new.id


def test_it_lets_nobody_append_who_may_not(shop: Shop, analyst: Actor) -> None:
    shop.actor = analyst
    with pytest.raises(AccessDenied):
        shop.send([{"id": 1}])


def test_it_keeps_the_order_of_many_rows(shop: Shop) -> None:
    shop.send(arrow(pa.table({"id": range(300_000)})), form=RowFormat.ARROW)
    shop.work()
    [found] = shop.lake.execute("SELECT count(*), max(abs(id - rowid)) FROM lake.main.t")
    assert found == (300_000, 0)
