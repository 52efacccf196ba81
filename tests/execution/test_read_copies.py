"""Engines read the copies that their worker keeps, with the same rows and for the same people."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings

from accounts.domain import Actor
from catalog import storage
from catalog.models import Bucket, BucketKey
from catalog.services import rotate_bucket_key
from catalog.services.bucket_keys import console_origin
from execution import services, stores
from execution.engine import filecache, reach
from execution.engine import services as engine
from execution.engine.destinations import endpoints_of
from execution.engine.domain import path_of
from execution.engine.filecache import FileCache
from execution.models import Query
from execution.services.running import engine_spec
from execution.slices import SliceFile
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake, encrypted_lake, written_lake
from tests.customer import CustomerStorage
from tests.execution import governed
from tests.execution.governed import ask, mask, row_filter
from tests.patience import until
from upend import slices as attaching
from workspaces.models import Workspace

__all__ = ["encrypted_lake", "written_lake"]

pytestmark = pytest.mark.django_db

ASKED = "SELECT count(*) AS n, sum(id) AS s, max(name) AS m FROM people"


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileCache]:
    """Let this process keep copies."""
    monkeypatch.setattr(settings, "FILE_CACHE_BYTES", 10**8)
    engine.discard_spare()  # what waits was started without
    reach._caches.clear()
    made = reach.file_cache()
    assert made is not None
    yield made
    engine.discard_spare()
    made.close()
    reach._caches.clear()


def fill(lake: WrittenLake) -> WrittenLake:
    lake.run(
        "CALL lake.set_option('data_inlining_row_limit', 0)",
        "CREATE TABLE people AS SELECT i AS id, 'n' || i AS name FROM range(1000) r(i)",
        "DELETE FROM people WHERE id % 10 = 4",
        "CALL lake.set_option('data_inlining_row_limit', 100)",
        "INSERT INTO people VALUES (5000, 'late')",
    )
    governed.in_storage(lake)
    return lake


@pytest.fixture
def people(written_lake: WrittenLake) -> WrittenLake:
    return fill(written_lake)


def run(actor: Actor, workspace: Workspace, sql: str = ASKED) -> tuple[Query, list[list[Any]]]:
    """Run a query in an engine that has read nothing yet."""
    engine.discard_spare()
    query = ask(actor, workspace, sql, on="server")
    services.run_query(query.id, worker="test")
    query.refresh_from_db()
    assert query.problem is None, query.problem
    return query, services.read_page(actor=actor, query=query).rows


def addresses(actor: Actor, workspace: Workspace, sql: str = ASKED) -> list[str]:
    """Return where an engine would read the files of a query."""
    return attaching.paths(engine_spec(ask(actor, workspace, sql, on="server")).slices)


def make_hot(actor: Actor, workspace: Workspace, sql: str = ASKED) -> None:
    """Ask for the files of a query until there are copies of all of them."""
    query = ask(actor, workspace, sql, on="server")
    until(
        lambda: not any("://" in path for path in attaching.paths(engine_spec(query).slices)),
        "they were not copied",
    )


def test_it_reads_copies_with_the_same_rows(
    people: WrittenLake, workspace: Workspace, analyst: Actor, cast: Cast
) -> None:
    first, rows = run(analyst, workspace)
    assert first.bytes_read
    make_hot(analyst, workspace)
    again, same = run(analyst, workspace)
    other, too = run(cast.actor("owner"), workspace)
    assert rows == same == too
    assert (again.bytes_read, other.bytes_read) == (0, 0)


def test_it_reads_copies_of_encrypted_files_by_their_keys(
    encrypted_lake: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    fill(encrypted_lake)
    _, rows = run(analyst, workspace)
    make_hot(analyst, workspace)
    again, same = run(analyst, workspace)
    assert (again.bytes_read, same) == (0, rows)
    held = engine_spec(ask(analyst, workspace, ASKED, on="server")).copies
    copies = [Path(path_of(copy.fileno())).read_bytes() for copy in held]
    assert [copy[-4:] for copy in copies] == [b"PARE"] * 2
    assert not [copy for copy in copies if b"n999" in copy]


def test_it_shows_no_more_of_a_copy_than_of_the_file(
    people: WrittenLake, workspace: Workspace, analyst: Actor, cast: Cast
) -> None:
    make_hot(analyst, workspace)
    mask(people, "people", "name", method="null")
    row_filter(people, "people", "(id < 10)")
    query, rows = run(analyst, workspace)
    assert (query.bytes_read, rows) == (0, [[9, "41", None]])


def test_it_needs_no_way_to_a_bucket_of_which_it_has_copies(
    written_lake: WrittenLake, theirs: Bucket, workspace: Workspace, analyst: Actor
) -> None:
    in_their_bucket(written_lake, theirs)
    query = ask(analyst, workspace, ASKED, on="server")
    assert endpoints_of(engine_spec(query).slices) != reach.hosted()
    make_hot(analyst, workspace)
    assert endpoints_of(engine_spec(query).slices) == reach.hosted()
    found, _ = run(analyst, workspace)
    assert found.bytes_read == 0


def test_it_starts_anew_with_another_key(
    written_lake: WrittenLake,
    customer_storage: CustomerStorage,
    theirs: Bucket,
    cast: Cast,
) -> None:
    workspace, analyst = written_lake.catalog.workspace, cast.actor("analyst")
    in_their_bucket(written_lake, theirs)
    make_hot(analyst, workspace)
    customer_storage.allow_origins(theirs.bucket_name, console_origin())
    old = BucketKey.objects.get(bucket=theirs).access_key_id
    new = customer_storage.key(theirs.bucket_name)
    rotate_bucket_key(actor=cast.actor("owner"), bucket=theirs, key=new)
    found = addresses(analyst, workspace)
    assert len(found) == 2
    assert all("://" in path and old not in path for path in found)


def in_their_bucket(lake: WrittenLake, theirs: Bucket) -> None:
    lake.catalog.bucket, lake.catalog.prefix = theirs, f"{theirs.prefix}{lake.catalog.prefix}"
    lake.catalog.save()
    fill(lake)


@pytest.mark.parametrize(
    ("name", "is_extract", "is_kept"),
    [
        ("ducklake-0198c5a2-7d1e-7c63-9c0e-0123456789ab.parquet", False, True),
        ("ducklake-0198c5a2-7d1e-7c63-9c0e-0123456789ab-delete.parquet", False, True),
        ("2026/11/part-0.parquet", False, False),
        ("ducklake-0198c5a2-7d1e-7c63-9c0e-0123456789ab.parquet", True, False),
    ],
)
def test_it_copies_only_what_is_never_written_again(
    name: str, is_extract: bool, is_kept: bool, cache: FileCache
) -> None:
    key = f"lake/{uuid4()}/{name}"
    storage.hosted().put_bytes(key, b"PAR1")
    file = SliceFile(
        ordinal=0,
        catalog_id=uuid4(),
        table_key="table",
        bucket_name=storage.hosted().bucket,
        key=key,
        size_bytes=4,
        store=storage.hosted(),
        extract_id=uuid4() if is_extract else None,
    )
    address = stores.Sealed(seconds=60)
    assert all("://" in address(file) for _ in range(2))
    if is_kept:
        until(lambda: "://" not in address(file), "it was not copied")
    else:
        assert all("://" in address(file) for _ in range(5))
        assert cache.held_bytes == 0


def test_it_gives_no_copy_that_the_bucket_gives_no_more(
    people: WrittenLake, workspace: Workspace, analyst: Actor, cache: FileCache
) -> None:
    make_hot(analyst, workspace)
    for key in storage.hosted().keys(people.catalog.prefix):
        storage.hosted().delete(key)
    for copy in cache._copies.values():
        copy.confirmed_at = time.monotonic() - 400
    until(lambda: all("://" in path for path in addresses(analyst, workspace)), "it still does")


def test_it_keeps_none_where_none_are_wanted_or_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(filecache, "is_possible", lambda: False)
        reach._caches.clear()
        assert reach.file_cache() is None
    monkeypatch.setattr(settings, "FILE_CACHE_BYTES", 0)
    reach._caches.clear()
    assert reach.file_cache() is None


def test_it_hands_over_as_many_as_a_message_takes(
    people: WrittenLake, workspace: Workspace, analyst: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, rows = run(analyst, workspace)
    make_hot(analyst, workspace)
    monkeypatch.setattr(stores, "MOST_FILES", 1)
    assert sorted("://" in path for path in addresses(analyst, workspace)) == [False, True]
    query, same = run(analyst, workspace)
    assert query.bytes_read
    assert same == rows
