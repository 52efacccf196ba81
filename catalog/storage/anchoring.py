"""Keeps the ledger's checkpoints in Upend's own storage, which no right in the database reaches."""

from __future__ import annotations

from collections.abc import Iterator

from catalog import storage

PREFIX = "ledger/checkpoints/"


class StorageAnchor:
    """Objects by number."""

    def keep(self, number: int, text: str) -> None:
        """Keep the text of a checkpoint. Who calls has seen that none of its number is kept."""
        storage.hosted().put_bytes(_key(number), text.encode(), "application/json")

    def numbers(self) -> list[int]:
        """Return the numbers of the checkpoints that are kept, in order."""
        found = storage.hosted().keys(PREFIX)
        return sorted(int(key.removeprefix(PREFIX).partition(".")[0]) for key in found)

    def kept(self) -> Iterator[tuple[int, str]]:
        """Yield each checkpoint that is kept, in order."""
        for number in self.numbers():
            yield number, storage.hosted().read(_key(number)).decode()


def _key(number: int) -> str:
    return f"{PREFIX}{number:012d}.json"
