"""Talks to Upend's own object storage, and signs the URLs by which others read from it.

Only trusted services hold the keys in `settings.S3`; engines and clients get URLs.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Literal
from urllib.parse import quote, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings

from problems import NotFound, Problem

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UNSIGNED = "UNSIGNED-PAYLOAD"
MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
PART_BYTES = 8 * 2**20


class StorageUnreachable(Problem):
    """The object storage does not answer, or refuses Upend's own keys."""

    code = "storage-unreachable"
    status = 503
    title = "The object storage cannot be reached"


class ObjectMissing(NotFound):
    """There is no such object."""

    code = "object-missing"
    title = "The object is not there"


def ensure_bucket() -> None:
    """Create Upend's bucket where it is missing. Safe to repeat."""
    with translated():
        try:
            client().head_bucket(Bucket=bucket())
        except ClientError as error:
            if _code(error) not in MISSING | {"NoSuchBucket"}:
                raise
            client().create_bucket(Bucket=bucket())


def put(key: str, stream: IO[bytes], content_type: str = "application/octet-stream") -> int:
    """Store everything that `stream` gives, in parts; return the number of bytes."""
    with translated():
        client().upload_fileobj(stream, bucket(), key, ExtraArgs={"ContentType": content_type})
    return size(key)


def put_bytes(key: str, content: bytes, content_type: str = "application/octet-stream") -> None:
    """Store a small object."""
    with translated():
        client().put_object(Bucket=bucket(), Key=key, Body=content, ContentType=content_type)


def size(key: str) -> int:
    """Return an object's size in bytes. Raises `ObjectMissing`."""
    with translated():
        return client().head_object(Bucket=bucket(), Key=key)["ContentLength"]


def read(key: str, start: int = 0, length: int | None = None) -> bytes:
    """Return `length` bytes from `start` (all from there where None). Raises `ObjectMissing`."""
    with translated():
        answer = client().get_object(Bucket=bucket(), Key=key, Range=_range(start, length))
        return answer["Body"].read()


def stream(key: str, chunk_bytes: int = 2**20) -> Iterator[bytes]:
    """Yield an object's content piece by piece. Raises `ObjectMissing` before the first piece."""
    with translated():
        body = client().get_object(Bucket=bucket(), Key=key)["Body"]
    return body.iter_chunks(chunk_bytes)


def delete(key: str) -> None:
    """Remove one object; one that is not there is no error."""
    with translated():
        client().delete_object(Bucket=bucket(), Key=key)


def delete_prefix(prefix: str) -> int:
    """Remove every object below `prefix`, which ends with a slash; return how many."""
    if not prefix.endswith("/"):
        message = f"not a directory: {prefix!r}"
        raise ValueError(message)
    found = keys(prefix)
    for key in found:
        delete(key)
    return len(found)


def keys(prefix: str) -> list[str]:
    """Return the keys of every object below `prefix`."""
    with translated():
        pages = client().get_paginator("list_objects_v2").paginate(Bucket=bucket(), Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]


def keys_before(prefix: str, moment: datetime) -> list[str]:
    """Return the keys of the objects below `prefix` that were last written before `moment`."""
    with translated():
        pages = client().get_paginator("list_objects_v2").paginate(Bucket=bucket(), Prefix=prefix)
        return [
            found["Key"]
            for page in pages
            for found in page.get("Contents", [])
            if found["LastModified"] < moment
        ]


def abort_uploads_before(prefix: str, moment: datetime) -> int:
    """Forget the multipart uploads below `prefix` that began before `moment`; return how many."""
    with translated():
        listed = client().list_multipart_uploads(Bucket=bucket(), Prefix=prefix)
        left = [found for found in listed.get("Uploads", []) if found["Initiated"] < moment]
        for found in left:
            client().abort_multipart_upload(
                Bucket=bucket(), Key=found["Key"], UploadId=found["UploadId"]
            )
    return len(left)


def presign(
    key: str,
    *,
    valid_seconds: int,
    window_seconds: int = 0,
    public: bool = False,
    method: Literal["GET", "HEAD"] = "GET",
    file_name: str = "",
    now: datetime | None = None,
) -> str:
    """Return a URL that reads `key` for at least `valid_seconds`, without any other credential.

    With `window_seconds`, the URL is the same for everyone who asks within that window, so that
    caches keyed by URL survive re-signing. `public` signs for the endpoint that clients reach.
    A signature is good for one `method`. With `file_name`, browsers save the object under it.
    Source: AWS Signature Version 4, query string authentication.
    """
    signed_at = now or datetime.now(UTC)
    if window_seconds:
        begin = int(signed_at.timestamp()) // window_seconds * window_seconds
        signed_at = datetime.fromtimestamp(begin, UTC)
    endpoint = urlsplit(settings.S3["public_endpoint" if public else "endpoint"])
    path = quote(f"{endpoint.path}/{bucket()}/{key}", safe="/-_.~")
    moment = signed_at.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{settings.S3['region']}/s3/aws4_request"
    query = "&".join(
        (
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            f"X-Amz-Credential={quote(settings.S3['access_key_id'] + '/' + scope, safe='')}",
            f"X-Amz-Date={moment}",
            f"X-Amz-Expires={valid_seconds + window_seconds}",
            "X-Amz-SignedHeaders=host",
            *([f"response-content-disposition={_attachment(file_name)}"] if file_name else []),
        )
    )
    request = f"{method}\n{path}\n{query}\nhost:{endpoint.netloc}\n\nhost\n{UNSIGNED}"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
    key_bytes = _signing_key(settings.S3["secret_access_key"], moment[:8], settings.S3["region"])
    signature = hmac.new(key_bytes, text.encode(), hashlib.sha256).hexdigest()
    return f"{endpoint.scheme}://{endpoint.netloc}{path}?{query}&X-Amz-Signature={signature}"


def bucket() -> str:
    """Return the name of Upend's bucket."""
    name: str = settings.S3["bucket"]
    return name


@lru_cache(maxsize=1)
def client() -> S3Client:
    """Return the client of Upend's storage. Thread-safe, so one is enough."""
    return boto3.client(
        "s3",
        endpoint_url=settings.S3["endpoint"],
        region_name=settings.S3["region"],
        aws_access_key_id=settings.S3["access_key_id"],
        aws_secret_access_key=settings.S3["secret_access_key"],
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            connect_timeout=3,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 3},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@lru_cache(maxsize=8)
def _signing_key(secret: str, day: str, region: str) -> bytes:
    """Return the day's signing key; deriving it costs more than the signature itself."""
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _attachment(file_name: str) -> str:
    return quote(f'attachment; filename="{file_name}"', safe="")


def _range(start: int, length: int | None) -> str:
    return f"bytes={start}-" + ("" if length is None else str(start + length - 1))


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


@contextmanager
def translated() -> Iterator[None]:
    """Turn the client's errors into problems: for callers that use `client()` themselves."""
    try:
        yield
    except ClientError as error:
        if _code(error) in MISSING:
            raise ObjectMissing("The object was removed, or its name is wrong.") from error
        raise _unreachable(f"it answered {_code(error)}") from error
    except (BotoCoreError, OSError) as error:
        raise _unreachable(type(error).__name__) from error


def _unreachable(why: str) -> StorageUnreachable:
    return StorageUnreachable(
        f"{settings.S3['endpoint']} could not be used: {why}.",
        hint="Is the storage running, and are UPEND_S3_ENDPOINT and its keys right?",
    )
