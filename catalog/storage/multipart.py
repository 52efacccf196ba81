"""Multipart uploads of one store: begun here, sent by others to signed addresses, ended here.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from catalog.storage.problems import code_of
from catalog.storage.signing import presigned
from catalog.storage.store import Store

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

MIN_PART_BYTES = 8 * 2**20
MAX_PARTS = 10_000
GONE = frozenset({"NoSuchUpload", "404"})


def part_bytes_for(size_bytes: int) -> int:
    """Return the size of parts: whole megabytes, few enough parts for what S3 takes."""
    least = -(-size_bytes // (MAX_PARTS - 1))
    return max(MIN_PART_BYTES, -(-least // 2**20) * 2**20)


def begin(store: Store, key: str) -> str:
    """Begin an upload of `key`; return its id."""
    store.refuse_read_only()
    with store.translated():
        begun = store.client.create_multipart_upload(
            Bucket=store.bucket,
            Key=key,
            ContentType="application/octet-stream",
            **store.encryption,
        )
        return begun["UploadId"]


def address_of(store: Store, key: str, upload_id: str, number: int, valid_seconds: int) -> str:
    """Return the address to which clients PUT one part, without any other credential."""
    return presigned(
        store.location,
        store.credentials,
        key,
        valid_seconds=valid_seconds,
        public=True,
        method="PUT",
        part=(upload_id, number),
    )


def send(store: Store, key: str, upload_id: str, number: int, content: bytes) -> None:
    """Store one part: for clients that cannot reach the storage themselves."""
    with store.translated():
        store.client.upload_part(
            Bucket=store.bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=content
        )


def received(store: Store, key: str, upload_id: str) -> dict[int, tuple[int, str]]:
    """Return the parts that arrived: number to size in bytes and ETag. Empty where it is gone."""
    with store.translated():
        try:
            pages = store.client.get_paginator("list_parts").paginate(
                Bucket=store.bucket, Key=key, UploadId=upload_id
            )
            return {
                part["PartNumber"]: (part["Size"], part["ETag"])
                for page in pages
                for part in page.get("Parts", [])
            }
        except ClientError as error:
            if code_of(error) in GONE:
                return {}
            raise


def complete(store: Store, key: str, upload_id: str, parts: Iterable[tuple[int, str]]) -> None:
    """Make one object of the parts, given by number and ETag. Safe to repeat."""
    named: list[CompletedPartTypeDef] = [
        {"PartNumber": number, "ETag": etag} for number, etag in sorted(parts)
    ]
    with store.translated():
        store.client.complete_multipart_upload(
            Bucket=store.bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": named}
        )


def abort(store: Store, key: str, upload_id: str) -> None:
    """Forget the parts of an upload; one that is not there is no error."""
    with store.translated():
        try:
            store.client.abort_multipart_upload(Bucket=store.bucket, Key=key, UploadId=upload_id)
        except ClientError as error:
            if code_of(error) not in GONE:
                raise
