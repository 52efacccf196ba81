"""What a writer asks of a customer's store: signed, held to it, and encrypted on the way."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import duckdb
import httpx
import pytest
from botocore.exceptions import ClientError
from pytest_django import Settings

from accounts.domain import Actor
from catalog import services as catalogs
from catalog.domain import Encryption, JobKind, JobState
from catalog.ingest.acceptance import Sent
from catalog.ingest.domain import RowFormat
from catalog.models import Bucket
from catalog.storage import Credentials, Location, Store
from catalog.storage.endpoints import EndpointRefused, checked
from catalog.storage.lending import Lender
from catalog.writer import kept, keys
from catalog.writer.gateway import Gateway
from catalog.writer.session import extension_path
from tests.catalog.names import PUBLIC, Answers, dns
from tests.catalog.storage_servers import Asked, ok, redirecting, serving
from tests.catalog.storages import SESSION_SECONDS, LentStorage
from tests.customer import CustomerStorage
from workspaces.models import Workspace

__all__ = ["dns"]

ANYTHING = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
ROWS = "(SELECT range AS i, random() AS r FROM range({}))"
Source = Callable[[], Credentials]


@contextmanager
def engine(given: keys.Given) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an engine as a writer does, with these keys."""
    con = duckdb.connect(config={"allow_persistent_secrets": "false", "threads": 2})
    try:
        con.execute(f"LOAD '{extension_path('httpfs')}'")
        con.execute("SET http_retries = 1")
        con.execute(keys.secret("lake", given))
        yield con
    finally:
        con.close()


@contextmanager
def through(
    location: Location, source: Source, prefix: str = "lake/"
) -> Iterator[tuple[Gateway, duckdb.DuckDBPyConnection]]:
    """Open a gateway to a store, and an engine that has no other way."""
    gateway = Gateway(Store(location, source), prefix)
    try:
        with engine(gateway.given) as con:
            yield gateway, con
    finally:
        gateway.close()


def place(server: LentStorage) -> Location:
    return Location(server.endpoint, server.region, server.bucket(), server.endpoint)


def rows(con: duckdb.DuckDBPyConnection, url: str) -> int:
    found = con.execute(f"SELECT count(*) FROM '{url}'").fetchone()
    assert found is not None
    return int(found[0])


class Brief:
    """Keys of a role that end after two seconds."""

    def __init__(self, server: LentStorage) -> None:
        self.lent: list[Credentials] = []
        self._sts = server.client("sts")

    def __call__(self) -> Credentials:
        found = self._sts.assume_role(RoleArn="arn:aws:iam::role/Open", RoleSessionName="brief")
        lent = found["Credentials"]
        ends = datetime.now(UTC) + timedelta(seconds=SESSION_SECONDS)
        key = Credentials(lent["AccessKeyId"], lent["SecretAccessKey"], lent["SessionToken"], ends)
        self.lent.append(key)
        return key


def test_it_goes_on_in_one_transaction_when_lent_keys_have_ended(seaweed: LentStorage) -> None:
    where, brief = place(seaweed), Brief(seaweed)
    url = f"s3://{where.bucket}/lake"
    with through(where, Lender(brief, seaweed.endpoint)) as (gateway, con):
        con.execute("BEGIN")
        con.execute(f"COPY {ROWS.format(1000)} TO '{url}/a.parquet'")
        first = seaweed.client("s3", brief.lent[0])
        ends = time.monotonic() + SESSION_SECONDS + 120
        while is_let_in(first, where.bucket):
            assert time.monotonic() < ends
        con.execute(f"COPY {ROWS.format(1000)} TO '{url}/b.parquet'")
        assert rows(con, f"{url}/*.parquet") == 2000
        con.execute("COMMIT")
        assert gateway.refusal is None
    held = gateway.given | {
        "endpoint": where.endpoint,
        "access_key_id": brief.lent[0].access_key_id,
        "secret_access_key": brief.lent[0].secret_access_key,
        "session_token": brief.lent[0].session_token,
    }
    with engine(held) as con, pytest.raises(duckdb.Error):  # as it was without a gateway
        con.execute(f"COPY {ROWS.format(1000)} TO '{url}/c.parquet'")


def is_let_in(client: object, bucket: str) -> bool:
    try:
        client.list_objects_v2(Bucket=bucket)  # type: ignore[attr-defined]
    except ClientError:
        return False
    return True


def test_it_writes_one_file_under_several_keys(moto: LentStorage) -> None:
    """Each key is taken away soon after the next was given, in the middle of an upload."""
    where, given = place(moto), list[Credentials]()
    iam = moto.client("iam")
    iam.create_user(UserName="often")
    policy = json.dumps({"Version": "2012-10-17", "Statement": [ANYTHING]})
    iam.put_user_policy(UserName="often", PolicyName="given", PolicyDocument=policy)
    one_at_a_time = threading.Lock()

    def source() -> Credentials:
        with one_at_a_time:
            if given[1:]:  # a person has two keys at most
                old = given[-2].access_key_id
                iam.delete_access_key(UserName="often", AccessKeyId=old)
            made = iam.create_access_key(UserName="often")["AccessKey"]
            given.append(Credentials(made["AccessKeyId"], made["SecretAccessKey"]))
            return given[-1]

    with through(where, source) as (_, con):
        con.execute("SET threads = 1")
        con.execute("SET s3_uploader_max_filesize = '50GB'")  # parts of five megabytes
        con.execute("SET s3_uploader_thread_limit = 1")
        url = f"s3://{where.bucket}/lake/a.parquet"
        con.execute(f"COPY {ROWS.format(1_500_000)} TO '{url}'")
        assert rows(con, url) == 1_500_000
    assert len(given) > 5
    etag = moto.s3.head_object(Bucket=where.bucket, Key="lake/a.parquet")["ETag"]
    assert "-" in etag  # it went in parts


def test_it_writes_under_the_buckets_kms_key(moto: LentStorage) -> None:
    location = replace(place(moto), encryption=Encryption.KMS, kms_key_id="alias/lake")
    with through(location, lambda: moto.root) as (_, con):
        con.execute("SET s3_uploader_max_filesize = '50GB'")
        for name, count in (("small", 10), ("large", 1_500_000)):
            con.execute(
                f"COPY {ROWS.format(count)} TO 's3://{location.bucket}/lake/{name}.parquet'"
            )
            head = moto.s3.head_object(Bucket=location.bucket, Key=f"lake/{name}.parquet")
            assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/lake")


def test_it_is_not_led_elsewhere_by_a_name_that_changes(dns: Answers) -> None:
    """SSRF-08, of the writer: a name that is public when checked, and ours when it is used."""
    asked: list[str] = []

    def note(request: Asked) -> None:
        asked.append(request.path)
        ok(request)

    with serving(note) as port:
        dns["rebind.example.com"] = [PUBLIC, "127.0.0.1"]
        url = checked(f"http://rebind.example.com:{port}").url
        where = Location(url, "us-east-1", "lake", url)
        with through(where, lambda: Credentials("key", "secret")) as (gateway, con):
            with pytest.raises(duckdb.Error, match="public internet"):
                con.execute("SELECT * FROM read_text('s3://lake/lake/a')")
            assert isinstance(gateway.refusal, EndpointRefused)
    assert asked == []


@pytest.mark.parametrize("status", [301, 307])
def test_it_follows_no_redirect(status: int, settings: Settings) -> None:
    """SSRF-09, of the writer."""
    inner: list[str] = []

    def note(request: Asked) -> None:
        inner.append(request.path)
        ok(request)

    with serving(note) as hidden:
        target = f"http://127.0.0.1:{hidden}/inner"
        with serving(redirecting(status, Location=target)) as port:
            settings.STORAGE_ALLOWED_HOSTS = frozenset({f"127.0.0.1:{port}"})
            url = f"http://127.0.0.1:{port}"
            where = Location(url, "us-east-1", "lake", url)
            with through(where, lambda: Credentials("key", "secret")) as (gateway, con):
                for ask in (
                    "SELECT * FROM read_text('s3://lake/lake/a')",
                    "COPY (SELECT 1) TO 's3://lake/lake/a.csv'",
                ):
                    with pytest.raises(duckdb.Error):
                        con.execute(ask)
                assert gateway.refusal is not None
                assert f"answered {status}" in gateway.refusal.detail
    assert inner == []


def test_it_carries_for_its_writer_alone_and_inside_its_prefix(moto: LentStorage) -> None:
    where = place(moto)
    for key in ("lake/a", "other/a"):
        moto.s3.put_object(Bucket=where.bucket, Key=key, Body=b"content")
    with through(where, lambda: moto.root) as (gateway, _):
        base = f"{gateway.given['endpoint']}/{where.bucket}"
        ours = {"Authorization": f"AWS4-HMAC-SHA256 Credential={gateway.token}/x"}
        assert httpx.get(f"{base}/lake/a", headers=ours, timeout=60).content == b"content"
        for address, headers in (
            (f"{base}/lake/a", {}),
            (f"{base}/lake/a", {"Authorization": "AWS4-HMAC-SHA256 Credential=00/x"}),
            (f"{base}/other/a", ours),
            (f"{base}/?list-type=2&prefix=other/", ours),
            (f"{base}/?list-type=2", ours),
            (f"{gateway.given['endpoint']}/another/lake/a", ours),
        ):
            answer = httpx.get(address, headers=headers, timeout=60)
            assert answer.status_code == 403, address
            assert b"content" not in answer.content


@pytest.mark.django_db(transaction=True)
def test_it_names_the_redirect_in_the_jobs_problem(
    customer_storage: CustomerStorage,
    theirs: Bucket,
    owner: Actor,
    workspace: Workspace,
    settings: Settings,
) -> None:
    lake = catalogs.create_catalog(actor=owner, workspace=workspace, name="shop", bucket=theirs)
    insert = "CREATE TABLE lake.main.t AS SELECT range AS i FROM range(5000)"
    arguments = {"statements": [insert]}
    with serving(redirecting(307, Location="http://127.0.0.1:1/")) as port:
        settings.STORAGE_ALLOWED_HOSTS |= {f"127.0.0.1:{port}"}
        Bucket.objects.filter(id=theirs.id).update(endpoint=f"http://127.0.0.1:{port}")
        catalogs.run_jobs(lake.id)
        job = catalogs.enqueue_job(
            actor=owner, catalog=lake, kind=JobKind.STATEMENTS, arguments=arguments
        )
        catalogs.run_jobs(lake.id)
    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert job.problem is not None
    assert job.problem["code"] == "endpoint-refused"
    assert "answered 307" in job.problem["detail"]
    Bucket.objects.filter(id=theirs.id).update(
        endpoint=customer_storage.endpoint, version=uuid.uuid4()
    )
    again = catalogs.enqueue_job(
        actor=owner, catalog=lake, kind=JobKind.STATEMENTS, arguments=arguments
    )
    catalogs.run_jobs(lake.id)
    again.refresh_from_db()
    assert again.state == JobState.SUCCEEDED, again.problem


@pytest.mark.django_db(transaction=True)
def test_it_carries_rows_for_a_writer_that_stays_and_ends_with_it(
    customer_storage: CustomerStorage,
    theirs: Bucket,
    owner: Actor,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lake = catalogs.create_catalog(actor=owner, workspace=workspace, name="shop", bucket=theirs)
    catalogs.enqueue_job(
        actor=owner,
        catalog=lake,
        kind=JobKind.STATEMENTS,
        arguments={"statements": ["CREATE TABLE lake.main.t (id BIGINT)"]},
    )
    body = b"\n".join(b'{"id": %d}' % n for n in range(2000))
    for count in (1, 2):
        catalogs.run_jobs(lake.id)
        catalogs.send_rows(
            actor=owner,
            catalog=lake,
            schema="main",
            table="t",
            sent=Sent(body, RowFormat.NDJSON),
            key=f"{count}",
        )
        catalogs.run_jobs(lake.id)
        assert len(customer_storage.keys(theirs.bucket_name)) == count
    writer = kept._kept[lake.id]
    gateway = writer.way.gateway
    assert gateway is not None
    kept.end_idle()
    assert kept._kept == {lake.id: writer}
    monkeypatch.setattr(kept, "IDLE_SECONDS", -1.0)
    kept.end_idle()
    assert kept._kept == {}
    with pytest.raises(httpx.ConnectError):
        httpx.get(gateway.given["endpoint"])


def test_it_reads_what_was_registered_and_writes_nothing_there(moto: LentStorage) -> None:
    where = place(moto)
    source = f"COPY {ROWS.format(1000)} TO 's3://{where.bucket}/"
    with through(where, lambda: moto.root, prefix="") as (_, con):
        for key in ("exports/a.parquet", "exports-secret/a.parquet"):
            con.execute(f"{source}{key}'")
    gateway = Gateway(Store(where, lambda: moto.root), "lake/", ("exports/",))
    try:
        with engine(gateway.given) as con:
            widened = gateway.given | {"scope": f"s3://{where.bucket}/"}
            con.execute(keys.secret("all_of_it", widened))
            assert rows(con, f"s3://{where.bucket}/exports/a.parquet") == 1000
            assert gateway.refusal is None
            for ask in (
                f"{source}exports/b.parquet'",
                f"SELECT count(*) FROM 's3://{where.bucket}/exports-secret/a.parquet'",
            ):
                with pytest.raises(duckdb.Error):
                    con.execute(ask)
                assert isinstance(gateway.refusal, EndpointRefused)
                gateway.refusal = None
    finally:
        gateway.close()
