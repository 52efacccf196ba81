"""Where checkpoints are kept outside the database, so that who rules it does not rule them.

The object storage belongs to a room above, which registers itself when applications are ready.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Anchor(Protocol):
    """Keeps texts by number."""

    def keep(self, number: int, text: str) -> None:
        """Keep the text of a checkpoint, of whose number none is kept yet."""

    def numbers(self) -> list[int]:
        """Return the numbers of the checkpoints that are kept, in order."""

    def kept(self) -> Iterator[tuple[int, str]]:
        """Yield each checkpoint that is kept, in order."""


_registered: list[Anchor] = []


def register(anchor: Anchor) -> None:
    """Keep checkpoints in `anchor` from now on."""
    _registered[:] = [anchor]


def anchor() -> Anchor:
    """Return where checkpoints are kept."""
    return _registered[0]
