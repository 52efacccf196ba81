"""A file in the bucket that is written as it is produced and appears whole or not at all.

Small files are one PUT; larger ones a multipart upload (S3 User Guide, "Uploading an object using
multipart upload"), which stays invisible until it is completed. One part travels while the next
one fills: whoever writes waits for the network only when it is slower than the rows, and no more
than two parts are ever held.
"""

from __future__ import annotations

import contextlib
import io
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from catalog.storage import Store

PART_BYTES = 8 * 2**20


class Upload(io.RawIOBase):
    """A writable stream into one object. Call `commit` or `abort`; closing alone does nothing."""

    def __init__(self, store: Store, key: str, content_type: str) -> None:
        super().__init__()
        self._store, self._key, self._content_type = store, key, content_type
        self._buffer = bytearray()
        self._upload_id = ""
        self._etags: list[str] = []
        self._sender: ThreadPoolExecutor | None = None
        self._in_flight: Future[str] | None = None
        self.size_bytes = 0

    def writable(self) -> bool:
        """Say that it can be written."""
        return True

    def tell(self) -> int:
        """Return the bytes written so far: Arrow and Parquet footers need it."""
        return self.size_bytes

    def write(self, data: Any) -> int:
        """Take bytes; full parts leave at once. Raises what befell an earlier part."""
        view = memoryview(data).cast("B")
        self.size_bytes += len(view)
        start = 0
        while start < len(view):
            taken = view[start : start + PART_BYTES - len(self._buffer)]
            self._buffer += taken
            start += len(taken)
            if len(self._buffer) == PART_BYTES:
                full, self._buffer = self._buffer, bytearray()
                self._send_part(full)
        return len(view)

    @property
    def whole(self) -> bytes | None:
        """Return all that was written, where nothing of it has left yet."""
        return None if self._upload_id else bytes(self._buffer)

    def commit(self) -> int:
        """Make the object visible and return its size in bytes."""
        if not self._upload_id:
            self._store.put_bytes(self._key, bytes(self._buffer), self._content_type)
            return self.size_bytes
        if self._buffer:
            self._send_part(self._buffer)
        self._landed()
        self._store.client.complete_multipart_upload(
            UploadId=self._upload_id,
            MultipartUpload={
                "Parts": [
                    {"PartNumber": number, "ETag": etag}
                    for number, etag in enumerate(self._etags, start=1)
                ]
            },
            Bucket=self._store.bucket,
            Key=self._key,
        )
        return self.size_bytes

    def abort(self) -> None:
        """Forget what was sent. Parts that cannot be removed now are swept up later."""
        with contextlib.suppress(BotoCoreError, ClientError):
            self._landed()
        if self._upload_id:
            with contextlib.suppress(BotoCoreError, ClientError):
                self._store.client.abort_multipart_upload(
                    UploadId=self._upload_id,
                    Bucket=self._store.bucket,
                    Key=self._key,
                )

    def _send_part(self, body: bytearray) -> None:
        """Let a part go, once the one before it has arrived."""
        self._arrived()
        if not self._upload_id:
            self._store.refuse_read_only()
            started = self._store.client.create_multipart_upload(
                ContentType=self._content_type,
                Bucket=self._store.bucket,
                Key=self._key,
                **self._store.encryption,
            )
            self._upload_id = started["UploadId"]
        if self._sender is None:
            self._sender = ThreadPoolExecutor(1, thread_name_prefix="upload")
        self._in_flight = self._sender.submit(self._put, len(self._etags) + 1, body)

    def _put(self, number: int, body: bytearray) -> str:
        sent = self._store.client.upload_part(
            UploadId=self._upload_id,
            PartNumber=number,
            Body=bytes(body),
            Bucket=self._store.bucket,
            Key=self._key,
        )
        return sent["ETag"]

    def _arrived(self) -> None:
        """Wait for the part in flight, and raise what befell it."""
        waiting, self._in_flight = self._in_flight, None
        if waiting is not None:
            self._etags.append(waiting.result())

    def _landed(self) -> None:
        """Wait for the last part, and let the thread go that sent them."""
        sender, self._sender = self._sender, None
        try:
            self._arrived()
        finally:
            if sender is not None:
                sender.shutdown()
