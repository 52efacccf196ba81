"""A lake in the customer's own bucket: written, read in every place, and by its own keys alone."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.domain import Actor
from catalog import services as catalogs
from catalog import storage
from catalog.domain import JobKind, JobState, UploadFormat, UploadMode
from catalog.models import Bucket, BucketKey, Catalog, Job
from catalog.services.bucket_keys import console_origin
from execution import sandbox, services, stores
from execution.domain import QueryState
from execution.engine import reach
from execution.engine.destinations import endpoints_of
from execution.models import Query
from execution.services.running import engine_spec
from execution.slices import SliceFile
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake, written_lake
from tests.customer import CustomerStorage
from tests.execution import governed
from tests.execution.governed import Laptop, ask, mask, on_device, on_server
from workspaces.models import Workspace

__all__ = ["written_lake"]

pytestmark = pytest.mark.django_db

CSV = b"id,name\n" + b"".join(b"%d,n%d\n" % (i, i) for i in range(2000))
SUM = "SELECT count(*), sum(id), max(name) FROM people"


@pytest.fixture
def laptop(cast: Cast) -> Laptop:
    return governed.laptop_of(cast, "analyst")


@pytest.fixture
def people(written_lake: WrittenLake, theirs: Bucket) -> WrittenLake:
    """A lake whose files, deletes included, are in the customer's bucket."""
    catalog = written_lake.catalog
    catalog.bucket, catalog.prefix = theirs, f"{theirs.prefix}{catalog.prefix}"
    catalog.save()
    written_lake.run(
        "CALL lake.set_option('data_inlining_row_limit', 0)",
        "CREATE TABLE people AS SELECT i AS id, 'n' || i AS name FROM range(1000) r(i)",
        "DELETE FROM people WHERE id % 10 = 4",
        "CALL lake.set_option('data_inlining_row_limit', 100)",
        "INSERT INTO people VALUES (5000, 'late')",
    )
    governed.in_storage(written_lake)
    return written_lake


def written(owner: Actor, catalog: Catalog) -> Job:
    """Upload a file and have the catalog's writer take it."""
    catalogs.run_jobs(catalog.id)
    job = catalogs.upload_table(
        actor=owner,
        catalog=catalog,
        schema="main",
        table="people",
        file=io.BytesIO(CSV),
        file_name="people.csv",
        size_bytes=len(CSV),
        format=UploadFormat.CSV,
        mode=UploadMode.CREATE,
    )
    catalogs.run_jobs(catalog.id)
    job.refresh_from_db()
    return job


# --- From the bucket's connection to rows -----------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_it_is_written_in_their_bucket_and_answers_as_a_hosted_lake_does(
    customer_storage: CustomerStorage,
    theirs: Bucket,
    owner: Actor,
    workspace: Workspace,
    laptop: Laptop,
) -> None:
    lake = catalogs.create_catalog(
        actor=owner, workspace=workspace, name="shop", bucket=theirs, is_encrypted=True
    )
    job = written(owner, lake)
    assert job.state == JobState.SUCCEEDED, job.problem
    assert not storage.hosted().keys(f"staging/{lake.id}/")
    keys = customer_storage.keys(theirs.bucket_name)
    assert keys
    assert all(key.startswith(f"lake/catalogs/{lake.id}/main/people/") for key in keys)
    assert all(storage.of(theirs).read(key)[-4:] == b"PARE" for key in keys)
    assert not storage.hosted().keys(f"lake/catalogs/{lake.id}/")
    hosted = catalogs.create_catalog(actor=owner, workspace=workspace, name="hosted")
    assert written(owner, hosted).state == JobState.SUCCEEDED
    expected = [["2000", str(sum(range(2000))), "n999"]]
    for name in ("shop", "hosted"):
        sql = SUM.replace("people", f"{name}.people")
        assert on_server(laptop.actor, workspace, sql) == expected
        assert on_device(laptop, workspace, sql) == expected
    both = "SELECT count(*) FROM shop.people JOIN hosted.people USING (id, name)"
    assert on_server(laptop.actor, workspace, both) == [["2000"]]
    catalogs.drop_catalog(actor=owner, catalog=lake)


@pytest.mark.django_db(transaction=True)
def test_it_gives_the_writer_keys_for_its_own_prefixes_only(
    theirs: Bucket, owner: Actor, workspace: Workspace
) -> None:
    lake = catalogs.create_catalog(actor=owner, workspace=workspace, name="shop", bucket=theirs)
    storage.hosted().put_bytes("results/of-others", b"secret")
    storage.of(theirs).put_bytes("lake/catalogs/of-others", b"secret")
    for place in (
        f"s3://{storage.hosted().bucket}/results/",
        f"s3://{theirs.bucket_name}/lake/catalogs/",
    ):
        job = catalogs.enqueue_job(
            actor=owner,
            catalog=lake,
            kind=JobKind.STATEMENTS,
            arguments={"statements": [f"SELECT * FROM read_text('{place}of-others')"]},
        )
        catalogs.run_jobs(lake.id)
        job.refresh_from_db()
        assert job.state == JobState.FAILED, job.result
        assert "s3.amazonaws.com" in str(job.problem)  # it has no key and no endpoint for that


def test_it_reads_rows_deleted_inlined_and_in_files_by_their_keys(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    plain = [[str(value) for value in row] for row in people.run(SUM)]
    assert on_server(laptop.actor, workspace, SUM) == plain
    assert on_device(laptop, workspace, SUM) == plain


def test_it_sends_a_device_to_their_public_address(
    people: WrittenLake, theirs: Bucket, owner: Actor, workspace: Workspace, laptop: Laptop
) -> None:
    public = replace(catalogs.settings_of(theirs), public_endpoint="https://lake.customer.example")
    catalogs.change_bucket(actor=owner, bucket=theirs, settings=public)
    query = ask(laptop.actor, workspace, SUM)
    body = governed.manifest_of(laptop, query)
    addresses = [file["path"] for one in governed.located(body) for file in one["files"]]
    assert len(addresses) == 2
    for address in addresses:
        assert address.startswith(f"https://lake.customer.example/{theirs.bucket_name}/lake/")
        assert "X-Amz-Expires=60&" in address


# --- What an engine reaches -------------------------------------------------------------------
def test_it_lets_an_engine_reach_their_store_and_no_other(
    people: WrittenLake, theirs: Bucket, workspace: Workspace, analyst: Actor
) -> None:
    query = ask(analyst, workspace, SUM, on="server")
    (found,) = endpoints_of(engine_spec(query).slices)
    expected = sandbox.Endpoint.of_url(theirs.endpoint)
    assert (found.host, found.port) == (expected.host, expected.port)
    assert found.addresses == ("127.0.0.1",)
    (own,) = reach.hosted()
    assert (own.host, own.port) != (found.host, found.port)
    constant = Query.objects.get(id=ask(analyst, workspace, "SELECT 1", on="server").id)
    assert endpoints_of(engine_spec(constant).slices) == (own,)


# --- Governed extracts ------------------------------------------------------------------------
def test_it_keeps_extracts_in_upends_own_bucket(
    customer_storage: CustomerStorage,
    people: WrittenLake,
    theirs: Bucket,
    workspace: Workspace,
    laptop: Laptop,
) -> None:
    mask(people, "people", "name", method="null")
    before = customer_storage.keys(theirs.bucket_name)
    rows = on_device(laptop, workspace, "SELECT id, name FROM people ORDER BY id")
    assert rows[0] == ["0", None]
    assert rows == on_server(laptop.actor, workspace, "SELECT id, name FROM people ORDER BY id")
    assert len(storage.hosted().keys(f"extracts/{workspace.id}/")) == 1
    assert customer_storage.keys(theirs.bucket_name) == before


# --- Read only --------------------------------------------------------------------------------
def test_it_writes_nothing_where_the_bucket_is_read_only(
    people: WrittenLake, theirs: Bucket, owner: Actor, workspace: Workspace, laptop: Laptop
) -> None:
    given = replace(catalogs.settings_of(theirs), is_read_only=True)
    bucket = catalogs.change_bucket(actor=owner, bucket=theirs, settings=given)
    catalog = Catalog.objects.select_related("bucket").get(id=people.catalog.id)
    with pytest.raises(storage.BucketReadOnly, match="Theirs was connected to be read only"):
        written(owner, catalog)
    with pytest.raises(storage.BucketReadOnly):
        catalogs.create_catalog(actor=owner, workspace=workspace, name="more", bucket=bucket)
    assert not Job.objects.exists()
    assert on_server(laptop.actor, workspace, "SELECT count(*) FROM people") == [["901"]]


# --- Keys that change, end, or are taken away -------------------------------------------------
def test_it_goes_on_when_the_buckets_key_is_another(
    customer_storage: CustomerStorage,
    people: WrittenLake,
    theirs: Bucket,
    owner: Actor,
    laptop: Laptop,
) -> None:
    workspace = people.catalog.workspace
    customer_storage.allow_origins(theirs.bucket_name, console_origin())
    waiting = ask(laptop.actor, workspace, SUM, on="server")
    signed = engine_spec(waiting)
    expected = on_server(laptop.actor, workspace, SUM)  # an engine stays, with this key's addresses
    old = BucketKey.objects.get(bucket=theirs).access_key_id
    catalogs.rotate_bucket_key(
        actor=owner, bucket=theirs, key=customer_storage.key(theirs.bucket_name)
    )
    assert old in str(signed.slices)
    assert old not in str(engine_spec(waiting).slices)
    assert on_device(laptop, workspace, SUM) == expected
    customer_storage.revoke(old)
    assert on_server(laptop.actor, workspace, SUM) == expected
    services.run_query(waiting.id, worker="test")
    waiting.refresh_from_db()
    assert waiting.state == QueryState.SUCCEEDED, waiting.problem


def test_it_names_the_bucket_whose_key_was_taken_away(
    customer_storage: CustomerStorage,
    people: WrittenLake,
    theirs: Bucket,
    workspace: Workspace,
    analyst: Actor,
) -> None:
    customer_storage.revoke(BucketKey.objects.get(bucket=theirs).access_key_id)
    query = ask(analyst, workspace, SUM, on="server")
    services.run_query(query.id, worker="test")
    query.refresh_from_db()
    assert query.state == QueryState.FAILED
    assert query.problem is not None
    assert query.problem["code"] == "storage-unreachable"
    assert "The bucket Theirs, in which lake lies, cannot be read" in query.problem["detail"]
    assert "InvalidAccessKeyId" in query.problem["detail"]
    assert "X-Amz" not in str(query.problem)


def test_it_refuses_a_query_that_may_outlive_lent_keys(theirs: Bucket) -> None:
    def lent(seconds: int) -> storage.Store:
        ends = timezone.now() + timedelta(seconds=seconds)
        keys = storage.Credentials("ASIA", "secret", "token", ends)
        return storage.Store(storage.of(theirs).location, lambda: keys)

    def file(seconds: int) -> SliceFile:
        return SliceFile(
            ordinal=0,
            catalog_id=theirs.id,
            table_key="table",
            bucket_name="customer",
            key="lake/a.parquet",
            size_bytes=1,
            store=lent(seconds),
        )

    address = stores.Sealed(seconds=360)
    assert "X-Amz-Security-Token=token" in address(file(400))
    with pytest.raises(stores.KeysTooShort, match="may run for 360 s") as refused:
        address(file(300))
    assert "query timeout" in refused.value.hint
