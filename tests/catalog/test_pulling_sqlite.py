"""Connectors: a table of a SQLite file in a customer's bucket, opened where it can do nothing."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.test import Client

from accounts.domain import Actor
from catalog import services as catalogs
from catalog.connectors import kept, process
from catalog.connectors.domain import Pulled, Range
from catalog.connectors.process import Source
from catalog.domain import ConnectorKind
from catalog.models import Job
from tests.cast import Cast
from tests.catalog.pulling import CATALOG, begin, count, work
from tests.customer import CustomerStorage


def made(path: Path, *texts: str) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as con:
        for text in texts:
            con.execute(text)
    return path


def pulled(path: Path, **wanted: Any) -> Pulled:
    path.parent.chmod(0o711)
    path.chmod(0o444)
    source = Source(ConnectorKind.SQLITE, {"files": [str(path)]})
    return process.pull(source, Range("main", "orders", **wanted), path.parent / "rows.parquet")


@pytest.fixture
def place() -> Generator[Path]:
    """Return a directory that confined users may pass through, as pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="upend-test-") as directory:
        yield Path(directory)


@pytest.mark.django_db(transaction=True)
def test_it_pulls_what_is_new_and_all_of_what_was_written_again(
    tmp_path: Path,
    cast: Cast,
    customer_storage: CustomerStorage,
    signed_in: Callable[[Actor], Client],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner = cast.actor("owner")
    flights = catalogs.create_catalog(actor=owner, workspace=cast.workspace, name="flights")
    catalogs.run_jobs(flights.id)
    bucket = customer_storage.connect(owner, cast.workspace, prefix="", is_read_only=True)
    client = signed_in(owner)
    path = tmp_path / "shop.db"

    def put(*texts: str) -> None:
        content = made(path, *texts).read_bytes()
        customer_storage.s3.put_object(Bucket=bucket.bucket_name, Key="shop.db", Body=content)

    put(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, at DATETIME)",
        "INSERT INTO orders VALUES (9, '2024')",
    )
    common = {"kind": "sqlite", "bucket": "Theirs", "path": "shop.db", "source_table": "orders"}
    assert begin(client, **common, watermark_column="id").status_code == 201
    run = work(flights)
    assert (run.state, run.rows, run.upto) == ("succeeded", 1, "9"), run.problem
    assert work(flights).rows == 0
    put("INSERT INTO orders VALUES (10, '2025')")  # as text it comes before 9
    assert work(flights).rows == 1
    assert count(flights) == 2
    assert client.delete(f"{CATALOG}/connectors/orders").status_code == 204
    begin(client, **common, mode="replace")
    work(flights)
    jobs = Job.objects.count()
    assert (work(flights).rows, Job.objects.count()) == (0, jobs)  # the file is as it was
    put("DELETE FROM orders")
    work(flights)
    assert count(flights) == 0
    put("DROP TABLE orders", "CREATE VIEW orders AS SELECT 1 AS id")
    failed = work(flights)
    assert "There is no table orders" in failed.problem
    monkeypatch.setattr(kept, "MAX_BYTES", 100)
    put("CREATE TABLE more (id)")
    assert "shop.db: It has more than" in work(flights).problem


def test_it_keeps_values_as_they_were_declared(place: Path) -> None:
    path = made(
        place / "d.sqlite",
        "CREATE TABLE orders (a INT, b VARCHAR(9), c DECIMAL(9,2), d BOOLEAN, e DATE, f BLOB, g,"
        ' "h""i" REAL)',
        "INSERT INTO orders VALUES (9223372036854775807, 'ž', 1, 1, '2024-02-29', x'00ff', 7, 0.1)",
        "INSERT INTO orders DEFAULT VALUES",
    )
    assert pulled(path) == Pulled(rows=2)
    first, second = pq.read_table(place / "rows.parquet").to_pylist()
    assert first == {
        "a": 2**63 - 1, "b": "ž", "c": 1.0, "d": True, "e": "2024-02-29", "f": b"\x00\xff",
        "g": "7", 'h"i': 0.1,
    }  # fmt: skip
    assert set(second.values()) == {None}


def test_it_goes_on_after_a_watermark_to_the_last_digit(place: Path) -> None:
    path = made(place / "d.sqlite", "CREATE TABLE orders (id REAL, n INT)")
    made(path, "INSERT INTO orders VALUES (0.1, 1), (0.1 + 0.2, 2), (0.3, 3)")
    found = pulled(path, watermark_column="id", after="0.3")
    assert (found.rows, found.upto) == (1, "0.30000000000000004")
    assert pulled(path, watermark_column="id", after=found.upto).rows == 0


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (["CREATE TABLE orders (a INT)", "INSERT INTO orders VALUES ('x')"], "a was declared INT"),
        (["CREATE TABLE orders (a TEXT)", "INSERT INTO orders VALUES (x'ff')"], "bytes"),
        (["CREATE VIEW orders AS SELECT 1 AS a", "CREATE TABLE t (a)"], "its tables are: t."),
        (["CREATE VIRTUAL TABLE orders USING fts5(a)"], "There is no table orders"),
        (["CREATE TABLE orders (a)", "INSERT INTO orders VALUES (CAST(x'ff' AS TEXT))"], "UTF-8"),
    ],
)  # fmt: skip
def test_it_says_what_is_wrong_with_the_file(place: Path, texts: list[str], problem: str) -> None:
    assert problem in pulled(made(place / "d.sqlite", *texts)).problem


def test_it_survives_a_file_that_is_none(place: Path) -> None:
    path = place / "d.sqlite"
    path.write_bytes(b"SQLite format 3\x00" + bytes(range(256)) * 40)
    found = pulled(path)
    assert "cannot be read as a SQLite database" in found.problem
    assert str(place) not in found.problem


def test_it_evaluates_nothing_that_the_file_holds(place: Path) -> None:
    """A generated column would run an expression of the file's for each row."""
    path = made(
        place / "d.sqlite",
        "CREATE TABLE orders (a INT, b TEXT AS (hex(zeroblob(9000000))) VIRTUAL)",
        "INSERT INTO orders (a) VALUES (1)",
    )
    assert pulled(path).rows == 1
    assert pq.read_table(place / "rows.parquet").column_names == ["a"]
