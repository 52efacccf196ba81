"""Results come back as they were: every type, any page, from the bucket by range."""

from __future__ import annotations

import io
from collections.abc import Iterator
from uuid import uuid4

import boto3
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from django.conf import settings
from mypy_boto3_s3 import S3Client

from catalog import storage
from execution.domain import ResultFormat
from execution.engine.domain import ROWS_PER_BATCH
from execution.results.arrow_file import (
    SMALL_BATCHES,
    ArrowFile,
    later_rows,
    open_file,
    read_rows,
)
from execution.results.exports import export
from execution.results.upload import PART_BYTES, Upload
from execution.results.values import rows_of

BIG = 2**53 + 1
EVERY_TYPE = [
    ("true", True),
    ("1::TINYINT", 1),
    ("255::UTINYINT", 255),
    (f"{2**53 - 1}::BIGINT", 2**53 - 1),
    (f"{BIG}::BIGINT", str(BIG)),
    (f"-{BIG}::BIGINT", str(-BIG)),
    (f"{2**64 - 1}::UBIGINT", str(2**64 - 1)),
    ("1::HUGEINT", "1"),
    (f"({2**127 - 1})::HUGEINT", str(2**127 - 1)),
    ("'-170141183460469231731687303715884105728'::HUGEINT", str(-(2**127))),
    ("1.10::DECIMAL(5,2)", "1.10"),
    ("-0.000001::DECIMAL(38,6)", "-0.000001"),
    ("0.1::FLOAT", 0.1),
    ("1e300::DOUBLE", 1e300),
    ("'nan'::DOUBLE", "NaN"),
    ("'-infinity'::DOUBLE", "-Infinity"),
    ("'infinity'::FLOAT", "Infinity"),
    ("'Zürich 🦆'", "Zürich 🦆"),
    ("'\\x00\\xFFa'::BLOB", "\\x00\\xFFa"),
    ("DATE '2020-02-29'", "2020-02-29"),
    ("'infinity'::DATE", "infinity"),
    ("DATE '0044-03-15 (BC)'", "0044-03-15 (BC)"),
    ("TIME '23:59:59.000001'", "23:59:59.000001"),
    ("TIMESTAMP '2020-01-01 12:00:00.5'", "2020-01-01 12:00:00.5"),
    ("TIMESTAMP_NS '2020-01-01 00:00:00.123456789'", "2020-01-01 00:00:00.123456789"),
    ("TIMESTAMPTZ '2020-01-01 12:00:00+01'", "2020-01-01 11:00:00+00"),
    ("INTERVAL '1 month 2 days -3 hours'", "1 month 2 days -03:00:00"),
    ("'00000000-0000-0000-0000-00000000000a'::UUID", "00000000-0000-0000-0000-00000000000a"),
    ("""'{"a": [1, 2]}'::JSON""", '{"a": [1, 2]}'),
    ("[1, NULL, 3]", [1, None, 3]),
    ("[[1], NULL, []]", [[1], None, []]),
    ("[1.5::DECIMAL(3,1)]::DECIMAL(3,1)[1]", ["1.5"]),
    (
        "{'a': 1.50::DECIMAL(9,2), 'b': {'c': DATE '2020-01-01'}}",
        {"a": "1.50", "b": {"c": "2020-01-01"}},
    ),
    (f"MAP {{'k': {BIG}}}", [{"key": "k", "value": str(BIG)}]),
    ("MAP {}", []),
    ("union_value(x := 1.5)", "1.5"),
    ("(1::BIGINT)::UNION(n BIGINT, s VARCHAR)", 1),
    ("[('x')::UNION(n BIGINT, s VARCHAR), NULL]", ["x", None]),
    ("[{'x': 'nan'::DOUBLE}]", [{"x": "NaN"}]),
]


@pytest.fixture(scope="module")
def client() -> S3Client:
    return boto3.client(
        "s3",
        endpoint_url=settings.S3["endpoint"],
        region_name=settings.S3["region"],
        aws_access_key_id=settings.S3["access_key_id"],
        aws_secret_access_key=settings.S3["secret_access_key"],
    )


@pytest.fixture
def bucket() -> str:
    return settings.S3["bucket"]


@pytest.fixture
def key(client: S3Client, bucket: str) -> Iterator[str]:
    key = f"tests/{uuid4()}"
    yield key
    client.delete_object(Bucket=bucket, Key=key)


def exists(client: S3Client, bucket: str, key: str) -> bool:
    return client.list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"] > 0


@pytest.mark.parametrize(("sql", "expected"), EVERY_TYPE, ids=[sql for sql, _ in EVERY_TYPE])
def test_it_renders_a_value_of_every_type(sql: str, expected: object) -> None:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        answer = f"SELECT {sql} AS v UNION ALL SELECT NULL UNION ALL SELECT {sql}"
        batch = connection.sql(answer).to_arrow_table().combine_chunks().to_batches()[0]
    assert rows_of(batch) == [[expected], [None], [expected]]
    assert rows_of(batch.slice(1)) == [[None], [expected]]


def test_it_returns_any_page_of_a_file_written_in_uneven_batches(
    client: S3Client, bucket: str, key: str
) -> None:
    file = ArrowFile(storage.hosted(), key)
    file.open(pa.schema([("i", pa.int64())]))
    start = 0
    for size in (1, 0, 5000, 2047, 1, 3000):
        file.write(pa.record_batch({"i": pa.array(range(start, start + size), pa.int64())}))
        start += size
    assert not exists(client, bucket, key)
    assert file.commit() > 0
    reader = open_file(client, bucket, key)
    assert all(
        reader.get_batch(i).num_rows == ROWS_PER_BATCH for i in range(reader.num_record_batches - 1)
    )
    for offset, limit in [(0, 1), (2047, 2), (4000, 1000), (start - 1, 1000), (start, 10)]:
        rows = read_rows(reader, offset, limit)["i"].to_pylist()
        assert rows == list(range(offset, min(offset + limit, start)))


@pytest.mark.parametrize("beyond", [0, 1, 2047, 200_000])
def test_it_returns_any_page_of_a_file_whose_later_batches_are_larger(
    client: S3Client, bucket: str, key: str, beyond: int
) -> None:
    small = SMALL_BATCHES * ROWS_PER_BATCH
    total = small + beyond
    file = ArrowFile(storage.hosted(), key)
    file.open(pa.schema([("i", pa.int64()), ("wide", pa.string())]))
    for start in range(0, total, 30_000):
        ids = pa.array(range(start, min(start + 30_000, total)), pa.int64())
        file.write(pa.record_batch({"i": ids, "wide": ids.cast(pa.string())}))
    file.commit()
    reader = open_file(client, bucket, key)
    assert reader.num_record_batches <= SMALL_BATCHES + 1 + beyond // (2 * ROWS_PER_BATCH)
    for offset in (0, small - 1, small, small + 1, small + 59_000, total - 1, total, total + 5):
        rows = read_rows(reader, offset, 1000)["i"].to_pylist()
        assert rows == list(range(offset, min(offset + 1000, total)))


def test_it_makes_later_batches_about_a_mebibyte_however_wide_rows_are() -> None:
    assert later_rows(16) == 65_536
    assert later_rows(100) == 10_240
    assert later_rows(10**6) == later_rows(512) == ROWS_PER_BATCH
    assert later_rows(0) == later_rows(1) == 65_536


def test_it_says_what_befell_a_part_that_travelled_in_the_background(
    client: S3Client, bucket: str, key: str
) -> None:
    upload = Upload(storage.hosted(), key, "text/plain")
    upload.write(b"x" * (PART_BYTES + 1))
    (started,) = client.list_multipart_uploads(Bucket=bucket, Prefix=key)["Uploads"]
    client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=started["UploadId"])
    with pytest.raises(ClientError):
        upload.write(b"x" * PART_BYTES * 3)
    upload.abort()
    assert not exists(client, bucket, key)


def test_it_returns_no_rows_of_an_empty_result(client: S3Client, bucket: str, key: str) -> None:
    file = ArrowFile(storage.hosted(), key)
    file.open(pa.schema([("i", pa.int64())]))
    file.commit()
    assert read_rows(open_file(client, bucket, key), 0, 1000).num_rows == 0


@pytest.mark.parametrize("form", [ResultFormat.CSV, ResultFormat.PARQUET])
def test_it_converts_values_of_every_type(
    client: S3Client, bucket: str, key: str, form: ResultFormat
) -> None:
    columns = ", ".join(f"{sql} AS c{i}" for i, (sql, _) in enumerate(EVERY_TYPE))
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        table = connection.sql(f"SELECT {columns} UNION ALL SELECT {columns}").to_arrow_table()
    file = ArrowFile(storage.hosted(), key)
    file.open(table.schema)
    for batch in table.to_batches():
        file.write(batch)
    file.commit()
    target = f"{key}.{form}"
    beats: list[None] = []
    size = export(
        storage.hosted(),
        source=key,
        key=target,
        form=form,
        on_progress=lambda: beats.append(None),
    )
    body = client.get_object(Bucket=bucket, Key=target)["Body"].read()
    client.delete_object(Bucket=bucket, Key=target)
    assert (len(body), len(beats)) == (size, 1)
    if form is ResultFormat.PARQUET:
        assert pq.read_table(io.BytesIO(body)).num_rows == 2
    else:
        assert body.decode().splitlines()[1].startswith(f"true,1,255,{2**53 - 1},{BIG}")


def test_it_writes_large_files_in_parts_that_stay_invisible(
    client: S3Client, bucket: str, key: str
) -> None:
    upload = Upload(storage.hosted(), key, "text/plain")
    for _ in range(5):
        upload.write(b"x" * (PART_BYTES // 2))
    assert not exists(client, bucket, key)
    assert upload.commit() == 5 * (PART_BYTES // 2)
    assert client.head_object(Bucket=bucket, Key=key)["ContentLength"] == 5 * (PART_BYTES // 2)


def test_it_leaves_nothing_of_an_aborted_file(client: S3Client, bucket: str, key: str) -> None:
    upload = Upload(storage.hosted(), key, "text/plain")
    upload.write(b"x" * PART_BYTES * 2)
    upload.abort()
    assert not exists(client, bucket, key)
    assert not client.list_multipart_uploads(Bucket=bucket, Prefix=key).get("Uploads")
