"""An object in the bucket as a seekable file: only the ranges that are looked at are fetched."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TAIL_BYTES = 64 * 2**10
AHEAD_BYTES = 256 * 2**10


class RangedObject(io.RawIOBase):
    """A readable stream over ranged GETs. One request finds the size and the footer at once."""

    def __init__(
        self, client: S3Client, bucket: str, key: str, ahead_bytes: int = AHEAD_BYTES
    ) -> None:
        super().__init__()
        self._client, self._bucket, self._key = client, bucket, key
        self._ahead_bytes = ahead_bytes
        self._position = 0
        self._tail, self._size_bytes = self._fetch(f"bytes=-{TAIL_BYTES}")
        self._block, self._block_at = b"", 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be read anywhere."""
        return True

    def tell(self) -> int:
        """Return the position of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to `offset`, from the start, the position or the end."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}
        self._position = origin[whence] + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes; -1 is all that is left."""
        left = max(0, self._size_bytes - self._position)
        wanted = left if size < 0 else min(size, left)
        data = self._slice(self._position, wanted) if wanted else b""
        self._position += len(data)
        return data

    def _slice(self, start: int, length: int) -> bytes:
        """Return bytes from what was fetched before, or fetch them with some more behind them."""
        for block, at in ((self._tail, self._size_bytes - len(self._tail)), self._last()):
            if at <= start and start + length <= at + len(block):
                return block[start - at : start - at + length]
        end = min(self._size_bytes, start + max(length, self._ahead_bytes))
        self._block, _ = self._fetch(f"bytes={start}-{end - 1}")
        self._block_at = start
        return self._block[:length]

    def _last(self) -> tuple[bytes, int]:
        return self._block, self._block_at

    def _fetch(self, span: str) -> tuple[bytes, int]:
        """Return the bytes of a range and the size of the whole object."""
        answer = self._client.get_object(Bucket=self._bucket, Key=self._key, Range=span)
        body = answer["Body"].read()
        total = answer.get("ContentRange", "").rpartition("/")[2]
        return body, int(total) if total.isdigit() else len(body)
