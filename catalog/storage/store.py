"""One bucket as trusted services use it: reads, writes, lists, and signs for others.

Only trusted services hold a store, because it holds keys; engines and clients get URLs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, Literal

from botocore.config import Config
from botocore.exceptions import ClientError

from catalog.storage.endpoints import checked
from catalog.storage.guard import guard
from catalog.storage.location import Credentials, Location
from catalog.storage.problems import MISSING, BucketReadOnly, code_of, translated
from catalog.storage.sending import Sender
from catalog.storage.session import session_of
from catalog.storage.signing import presigned

if TYPE_CHECKING:
    from _typeshed import SupportsWrite
    from mypy_boto3_s3 import S3Client

HINT = "Does the storage run, and are the bucket's endpoint and keys right? Check the bucket."


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a store waits for an answer, and how often it asks."""

    read_seconds: float
    attempts: int


@dataclass(frozen=True, slots=True)
class Listed:
    """One object of a listing."""

    key: str
    size_bytes: int
    written_at: datetime
    etag: str = ""


PATIENT = Patience(read_seconds=60, attempts=3)
HURRIED = Patience(read_seconds=8, attempts=1)


class Store:
    """One bucket with the keys that reach it. Thread-safe; make one and keep it."""

    def __init__(
        self,
        location: Location,
        credentials: Callable[[], Credentials],
        hint: str = HINT,
        *,
        is_read_only: bool = False,
        guarded: bool = True,
        patience: Patience = PATIENT,
    ) -> None:
        """Give what reaches the bucket. Only Upend's own storage does without the guard."""
        self.location = location
        self.is_read_only = is_read_only
        self._credentials = credentials
        self._hint = hint
        self._guarded = guarded
        self._patience = patience

    def __repr__(self) -> str:
        return f"Store({self.location})"

    @property
    def bucket(self) -> str:
        """Return the bucket's name."""
        return self.location.bucket

    @property
    def is_guarded(self) -> bool:
        """Tell whether it is a customer's: its name may lead elsewhere the next time."""
        return self._guarded

    @property
    def credentials(self) -> Credentials:
        """Return keys that hold now; borrowed ones are renewed before they expire."""
        return self._credentials()

    def recheck(self) -> None:
        """Look the endpoint up again, for those who connect to it by themselves.

        Raises `EndpointRefused` where it no longer is what Upend may be sent to.
        """
        if self._guarded:
            checked(self.location.endpoint)

    @cached_property
    def client(self) -> S3Client:
        """Return the client; thread-safe, and it renews borrowed keys by itself.

        Who writes by it asks `refuse_read_only` first, and passes `encryption`.
        """
        client = session_of(self._credentials).client(
            "s3",
            endpoint_url=self.location.endpoint,
            region_name=self.location.region,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": self.location.style.value},
                connect_timeout=3,
                read_timeout=self._patience.read_seconds,
                retries={"mode": "standard", "total_max_attempts": self._patience.attempts},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        if self._guarded:
            guard(client)
        return client

    @cached_property
    def _sender(self) -> Sender:
        return Sender(self.location, self._credentials)

    def translated(self) -> AbstractContextManager[None]:
        """Turn the client's errors into problems: for callers that use `client` themselves."""
        return translated(self.location.endpoint, self._hint)

    @property
    def encryption_headers(self) -> dict[str, str]:
        """Return the headers by which a plain request writes an encrypted object, often none."""
        if not self.location.encryption:
            return {}
        found = {"x-amz-server-side-encryption": self.location.encryption.value}
        if self.location.kms_key_id:
            found["x-amz-server-side-encryption-aws-kms-key-id"] = self.location.kms_key_id
        return found

    @property
    def encryption(self) -> dict[str, Any]:
        """Return the arguments by which the client writes encrypted objects, often none."""
        if not self.location.encryption:
            return {}
        key = {"SSEKMSKeyId": self.location.kms_key_id} if self.location.kms_key_id else {}
        return {"ServerSideEncryption": self.location.encryption.value, **key}

    def refuse_read_only(self) -> None:
        """Raise `BucketReadOnly` where nothing may be written or removed."""
        if self.is_read_only:
            message = f"{self.bucket} was connected to be read only."
            raise BucketReadOnly(message, hint="Its owners can change that on the page Buckets.")

    def ensure_bucket(self) -> None:
        """Create the bucket where it is missing. Safe to repeat."""
        with self.translated():
            try:
                self.client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                if code_of(error) not in MISSING | {"NoSuchBucket"}:
                    raise
                self.client.create_bucket(Bucket=self.bucket)

    def put(
        self, key: str, stream: IO[bytes], content_type: str = "application/octet-stream"
    ) -> int:
        """Store everything that `stream` gives, in parts; return the number of bytes."""
        self.refuse_read_only()
        given = {"ContentType": content_type, **self.encryption}
        with self.translated():
            self.client.upload_fileobj(stream, self.bucket, key, ExtraArgs=given)
        return self.size(key)

    def put_bytes(
        self, key: str, content: bytes, content_type: str = "application/octet-stream"
    ) -> None:
        """Store a small object."""
        self.refuse_read_only()
        if not self._guarded and self._sender.put(key, content, {"Content-Type": content_type}):
            return
        given = {"ContentType": content_type, **self.encryption}
        with self.translated():
            self.client.put_object(Bucket=self.bucket, Key=key, Body=content, **given)

    def size(self, key: str) -> int:
        """Return an object's size in bytes. Raises `ObjectMissing`."""
        with self.translated():
            return self.client.head_object(Bucket=self.bucket, Key=key)["ContentLength"]

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return `length` bytes from `start` (all from there if None). Raises `ObjectMissing`."""
        with self.translated():
            answer = self.client.get_object(
                Bucket=self.bucket, Key=key, Range=_range(start, length)
            )
            return answer["Body"].read()

    def stream(self, key: str, chunk_bytes: int = 2**20) -> Iterator[bytes]:
        """Yield an object's content piece by piece. Raises `ObjectMissing` before the first."""
        with self.translated():
            body = self.client.get_object(Bucket=self.bucket, Key=key)["Body"]
        return body.iter_chunks(chunk_bytes)

    def fetch(self, key: str, target: SupportsWrite[bytes]) -> str:
        """Write an object's content to `target`; return its tag. Raises `ObjectMissing`."""
        with self.translated():
            answer = self.client.get_object(Bucket=self.bucket, Key=key)
            for chunk in answer["Body"].iter_chunks(2**20):
                target.write(chunk)
            return answer["ETag"]

    def tag(self, key: str) -> str:
        """Return an object's tag, another one when its content changed. Raises `ObjectMissing`."""
        with self.translated():
            return self.client.head_object(Bucket=self.bucket, Key=key)["ETag"]

    def delete(self, key: str) -> None:
        """Remove one object; one that is not there is no error."""
        self.refuse_read_only()
        with self.translated():
            self.client.delete_object(Bucket=self.bucket, Key=key)

    def delete_prefix(self, prefix: str) -> int:
        """Remove every object below `prefix`, which ends with a slash; return how many."""
        if not prefix.endswith("/"):
            message = f"not a directory: {prefix!r}"
            raise ValueError(message)
        found = self.keys(prefix)
        for key in found:
            self.delete(key)
        return len(found)

    def keys(self, prefix: str) -> list[str]:
        """Return the keys of every object below `prefix`."""
        return [one.key for one in self._listed(prefix)]

    def keys_before(self, prefix: str, moment: datetime) -> list[str]:
        """Return the keys of the objects below `prefix` that were last written before `moment`."""
        return [one.key for one in self.listed_before(prefix, moment)]

    def listed_before(self, prefix: str, moment: datetime) -> list[Listed]:
        """Return the objects below `prefix` that were last written before `moment`."""
        return [one for one in self._listed(prefix) if one.written_at < moment]

    def abort_uploads_before(self, prefix: str, moment: datetime) -> int:
        """Forget the multipart uploads below `prefix` begun before `moment`; return how many."""
        self.refuse_read_only()
        with self.translated():
            listed = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=prefix)
            left = [found for found in listed.get("Uploads", []) if found["Initiated"] < moment]
            for found in left:
                self.client.abort_multipart_upload(
                    Bucket=self.bucket, Key=found["Key"], UploadId=found["UploadId"]
                )
        return len(left)

    def presign(
        self,
        key: str,
        *,
        valid_seconds: int,
        window_seconds: int = 0,
        public: bool = False,
        method: Literal["GET", "HEAD"] = "GET",
        file_name: str = "",
        now: datetime | None = None,
    ) -> str:
        """Return a URL that reads `key`; see `catalog.storage.signing.presigned`."""
        return presigned(
            self.location,
            self.credentials,
            key,
            valid_seconds=valid_seconds,
            window_seconds=window_seconds,
            public=public,
            method=method,
            file_name=file_name,
            now=now,
        )

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield the key and size in bytes of every object below `prefix`."""
        for found in self.objects(prefix):
            yield found.key, found.size_bytes

    def objects(self, prefix: str) -> Iterator[Listed]:
        """Yield what is said of every object whose key begins with `prefix`."""
        with self.translated():
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix
            )
            for page in pages:
                for found in page.get("Contents", []):
                    etag = found.get("ETag", "").strip('"')
                    yield Listed(found["Key"], found["Size"], found["LastModified"], etag)

    def _listed(self, prefix: str) -> list[Listed]:
        return list(self.objects(prefix))


def _range(start: int, length: int | None) -> str:
    return f"bytes={start}-" + ("" if length is None else str(start + length - 1))
