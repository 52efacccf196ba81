"""A file in the bucket that is written as it is produced and appears whole or not at all.

Small files are one PUT; larger ones a multipart upload (S3 User Guide, "Uploading an object using
multipart upload"), which stays invisible until it is completed.
"""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES = 8 * 2**20


class Upload(io.RawIOBase):
    """A writable stream into one object. Call `commit` or `abort`; closing alone does nothing."""

    def __init__(self, client: S3Client, bucket: str, key: str, content_type: str) -> None:
        super().__init__()
        self._client, self._bucket, self._key = client, bucket, key
        self._content_type = content_type
        self._buffer = bytearray()
        self._upload_id = ""
        self._etags: list[str] = []
        self.size_bytes = 0

    def writable(self) -> bool:
        """Say that it can be written."""
        return True

    def tell(self) -> int:
        """Return the bytes written so far: Arrow and Parquet footers need it."""
        return self.size_bytes

    def write(self, data: Any) -> int:
        """Take bytes; full parts leave for the bucket at once."""
        view = memoryview(data).cast("B")
        self._buffer += view
        self.size_bytes += len(view)
        while len(self._buffer) >= PART_BYTES:
            self._send_part(bytes(self._buffer[:PART_BYTES]))
            del self._buffer[:PART_BYTES]
        return len(view)

    def commit(self) -> int:
        """Make the object visible and return its size in bytes."""
        if not self._upload_id:
            self._client.put_object(
                Body=bytes(self._buffer),
                ContentType=self._content_type,
                Bucket=self._bucket,
                Key=self._key,
            )
            return self.size_bytes
        if self._buffer:
            self._send_part(bytes(self._buffer))
        self._client.complete_multipart_upload(
            UploadId=self._upload_id,
            MultipartUpload={
                "Parts": [
                    {"PartNumber": number, "ETag": etag}
                    for number, etag in enumerate(self._etags, start=1)
                ]
            },
            Bucket=self._bucket,
            Key=self._key,
        )
        return self.size_bytes

    def abort(self) -> None:
        """Forget what was sent. Parts that cannot be removed now fall to the bucket's lifecycle."""
        if self._upload_id:
            with contextlib.suppress(BotoCoreError, ClientError):
                self._client.abort_multipart_upload(
                    UploadId=self._upload_id,
                    Bucket=self._bucket,
                    Key=self._key,
                )

    def _send_part(self, body: bytes) -> None:
        if not self._upload_id:
            started = self._client.create_multipart_upload(
                ContentType=self._content_type,
                Bucket=self._bucket,
                Key=self._key,
            )
            self._upload_id = started["UploadId"]
        sent = self._client.upload_part(
            UploadId=self._upload_id,
            PartNumber=len(self._etags) + 1,
            Body=body,
            Bucket=self._bucket,
            Key=self._key,
        )
        self._etags.append(sent["ETag"])
