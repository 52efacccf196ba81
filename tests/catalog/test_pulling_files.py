"""Connectors: Parquet files of a customer's bucket, each taken once, a bad one by itself."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.test import Client
from django.utils import timezone

from accounts.domain import Actor
from catalog import lake
from catalog import services as catalogs
from catalog.connectors import kept, paths, process
from catalog.models import Bucket, Catalog, Connector, ConnectorFile, ConnectorRun, Job
from catalog.services import pulls
from tests.cast import Cast
from tests.catalog.pulling import CATALOG, Killed, begin, count, die, work
from tests.customer import CustomerStorage
from workspaces.models import Membership, Workspace

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def flights(workspace: Workspace, owner: Actor) -> Catalog:
    catalog = catalogs.create_catalog(actor=owner, workspace=workspace, name="flights")
    assert catalogs.run_jobs(catalog.id) == 1
    return catalog


@pytest.fixture
def client(cast: Cast, flights: Catalog, signed_in: Callable[[Actor], Client]) -> Client:
    return signed_in(cast.actor("owner"))


class Shelf:
    """The customer's bucket, and what they put there."""

    def __init__(self, storage: CustomerStorage, bucket: Bucket) -> None:
        self.storage = storage
        self.bucket = bucket

    def put(self, key: str, content: bytes) -> None:
        self.storage.s3.put_object(Bucket=self.bucket.bucket_name, Key=key, Body=content)

    def rows(self, key: str, *ids: int, **more: list[Any]) -> None:
        made = io.BytesIO()
        pq.write_table(pa.table({"id": pa.array(ids, pa.int64())} | more), made)
        self.put(key, made.getvalue())


@pytest.fixture
def shelf(customer_storage: CustomerStorage, owner: Actor, workspace: Workspace) -> Shelf:
    bucket = customer_storage.connect(owner, workspace, prefix="", is_read_only=True)
    return Shelf(customer_storage, bucket)


def start(client: Client, **given: Any) -> Any:
    body = {"kind": "parquet", "bucket": "Theirs", "path": "exports/"} | given
    made = begin(client, **body)
    assert made.status_code == 201, made.content
    return made


def settled(catalog: Catalog) -> list[tuple[str, int | None]]:
    """Run until nothing waits; return how each run ended."""
    for _ in range(6):
        work(catalog)
        if Connector.objects.get().next_run_at > timezone.now():
            break
    return list(ConnectorRun.objects.order_by("number").values_list("state", "rows"))


def test_it_takes_each_file_once(flights: Catalog, client: Client, shelf: Shelf) -> None:
    shelf.rows("exports/a.parquet", 1, 2)
    shelf.rows("exports/day=2024-05-06/b.parquet", 3)  # of other columns: it has a day
    shelf.rows("elsewhere/c.parquet", 9)
    shelf.put("exports/readme.txt", b"no rows")
    made = start(client)
    assert made.json()["source"] == {"bucket": "Theirs", "path": "exports/**/*.parquet"}
    assert work(flights).rows == 2
    assert work(flights).problem  # the table has no column `day`
    assert count(flights) == 2
    shelf.rows("exports/z.parquet", 4)
    shelf.rows("exports/b.parquet", 5)  # sorts before what was taken; it is newer all the same
    assert work(flights).rows == 2
    assert work(flights).rows == 0
    assert count(flights) == 4
    shelf.rows("exports/a.parquet", 1, 2, 3)  # written again: that is told, and not taken
    assert work(flights).rows == 0
    told = {
        one["key"]: one["problem"]
        for one in client.get(f"{CATALOG}/connectors/orders").json()["files"]
    }
    assert "written again" in told["exports/a.parquet"]
    assert "day" in told["exports/day=2024-05-06/b.parquet"]
    assert count(flights) == 4


def test_it_reads_partitions_of_the_path_as_columns(
    flights: Catalog, client: Client, shelf: Shelf
) -> None:
    shelf.rows("exports/day=2024-05-06/a.parquet", 1)
    shelf.rows("exports/day=2024-05-07/a.parquet", 2)
    start(client, path="exports/day=*/*.parquet")
    assert work(flights).rows == 2
    table = lake.table(flights, lake.latest_snapshot(flights).snapshot_id, "main", "orders")
    assert table is not None
    assert [(c.name, c.ducklake_type) for c in table.top_columns] == [
        ("id", "int64"),
        ("day", "date"),
    ]


def test_it_leaves_a_bad_file_out_and_says_which(
    flights: Catalog, client: Client, shelf: Shelf
) -> None:
    good = io.BytesIO()
    pq.write_table(pa.table({"id": list(range(5000))}), good, compression="none")
    damaged = bytearray(good.getvalue())
    damaged[4 : len(damaged) // 2] = b"\xff" * (len(damaged) // 2 - 4)
    shelf.rows("exports/a.parquet", 1, 2)
    shelf.put("exports/b.parquet", b"PAR1 this is none PAR1")
    shelf.put("exports/c.parquet", bytes(damaged))  # its end is whole, its pages are not
    shelf.rows("exports/d.parquet", 3)
    start(client)
    run = work(flights)
    assert (run.state, run.rows) == ("succeeded", 3)
    assert "exports/b.parquet was left out" in run.problem
    assert "1 more" in run.problem
    assert "/tmp" not in run.problem
    states = dict(ConnectorFile.objects.values_list("key", "state"))
    assert states == {
        "exports/a.parquet": "taken", "exports/b.parquet": "failed",
        "exports/c.parquet": "failed", "exports/d.parquet": "taken",
    }  # fmt: skip
    assert work(flights).rows == 0  # what failed is not read again and again
    shelf.rows("exports/b.parquet", 4)  # mended
    assert work(flights).rows == 1
    assert count(flights) == 4


def test_it_tries_files_alone_where_one_does_not_fit_the_table(
    flights: Catalog, client: Client, shelf: Shelf
) -> None:
    shelf.rows("exports/a.parquet", 1, note=["1"])
    start(client)
    work(flights)
    bad, fine = pa.array(["x"]), pa.array(["7"])
    for key, ids in (("b", bad), ("c", fine)):
        made = io.BytesIO()
        pq.write_table(pa.table({"id": ids, "note": ["n"]}), made)
        shelf.put(f"exports/{key}.parquet", made.getvalue())
    ended = settled(flights)
    assert ended == [("succeeded", 1), ("failed", None), ("failed", None), ("succeeded", 1)]
    assert count(flights) == 2
    assert ConnectorFile.objects.get(state="failed").key == "exports/b.parquet"
    assert Connector.objects.get().failures == 0


@pytest.mark.parametrize("killed", ["while reading", "after queueing", "after committing"])
def test_it_takes_the_same_files_again_wherever_it_was_killed(
    flights: Catalog, client: Client, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    shelf.rows("exports/a.parquet", 1, 2)
    start(client)
    connector = Connector.objects.get()
    where = {"while reading": (process, "pull")}.get(killed, (pulls, "_follow"))
    with monkeypatch.context() as patch:
        patch.setattr(*where, die)
        with pytest.raises(Killed):
            pulls.pull(connector.id)
    if killed == "after committing":
        catalogs.run_jobs(flights.id)
    shelf.rows("exports/b.parquet", 3)  # of the next run
    run = work(flights)
    assert (run.number, run.state, count(flights)) == (1, "succeeded", 2)
    work(flights)
    assert count(flights) == 3
    assert Job.objects.filter(idempotency_key__startswith="connector:").count() == 2


def test_it_puts_the_files_in_place_of_all_rows_when_they_change(
    flights: Catalog, client: Client, shelf: Shelf
) -> None:
    shelf.rows("exports/a.parquet", 1, 2)
    start(client, mode="replace", path="exports/a.parquet")
    assert work(flights).rows == 2
    assert work(flights).rows == 0
    assert Job.objects.filter(idempotency_key__startswith="connector:").count() == 1
    shelf.rows("exports/a.parquet", 7)
    work(flights)
    assert count(flights) == 1
    shelf.put("exports/a.parquet", b"no Parquet at all")
    assert work(flights).state == "failed"
    assert count(flights) == 1


def test_it_goes_on_at_once_where_more_files_wait_than_one_run_takes(
    flights: Catalog, client: Client, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MAX_FILES", 2)
    for number in range(5):
        shelf.rows(f"exports/{number}.parquet", number)
    start(client, interval_seconds=3600)
    assert settled(flights) == [("succeeded", 2), ("succeeded", 2), ("succeeded", 1)]
    assert Connector.objects.get().next_run_at > timezone.now() + timedelta(minutes=50)


def test_it_refuses_paths_that_policies_guard_and_people_who_do_not_manage_the_bucket(
    flights: Catalog, client: Client, shelf: Shelf, cast: Cast
) -> None:
    owner, workspace = cast.actor("owner"), flights.workspace
    shelf.rows("exports/a.parquet", 1)
    theirs = catalogs.create_catalog(
        actor=owner,
        workspace=workspace,
        name="guarded",
        bucket=shelf.storage.connect(owner, workspace, name="Lake", prefix="lake/"),
    )
    for given, code in (
        ({"path": "../exports/"}, "source-refused"),
        ({"bucket": "Lake", "path": "exports/"}, "source-refused"),
        ({"bucket": "Lake", "path": f"{theirs.prefix}*.parquet"}, "source-refused"),
        ({"bucket": ""}, "source-refused"),
        ({"bucket": "Nobody's"}, "unknown-bucket"),
        ({"source_table": "orders"}, "invalid"),
        ({"dsn": "postgresql://a:b@db.example.com/x"}, "invalid"),
    ):
        answer = begin(
            client, **{"kind": "parquet", "bucket": "Theirs", "path": "exports/"} | given
        )
        assert answer.json()["code"] == code, given
    fits = paths.chosen_by(theirs.bucket, "lake/**/*.parquet")
    assert fits("lake/elsewhere/a.parquet")
    assert not fits(f"{theirs.prefix}main/orders/a.parquet")  # policies say who reads that
    start(client)
    Membership.objects.filter(user=cast.users["owner"]).update(role="analyst")
    run = work(flights)
    assert (run.state, count(flights)) == ("failed", 0)


@pytest.mark.parametrize(
    ("path", "key", "fits"),
    [
        ("a/*.parquet", "a/b.parquet", True),
        ("a/*.parquet", "a/b/c.parquet", False),
        ("a/**/*.parquet", "a/b.parquet", True),
        ("a/**/*.parquet", "a/b/c/d.parquet", True),
        ("a/**/*.parquet", "ab/c.parquet", False),
        ("a/part-?.parquet", "a/part-1.parquet", True),
        ("a/part-?.parquet", "a/part-11.parquet", False),
        ("a/b.parquet", "a/bxparquet", False),
    ],
)
def test_it_reads_wildcards_as_shells_do(path: str, key: str, fits: bool) -> None:
    bucket = Bucket(bucket_name="nowhere")
    assert paths.chosen_by(bucket, path)(key) is fits
