"""What somebody may still read, of the room above: this one knows files and snapshots, no queries.

Merging replaces a file for every snapshot at once, so that no row of metadata says who may still
be reading the old one. Whoever hands out files registers itself here when the applications are
ready, and nothing is deleted that one of them names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from catalog.models import Catalog

SLACK = timedelta(minutes=3)
"""How long a signed address, or an engine that is kept, may outlive what it was made for."""


@dataclass(frozen=True, slots=True)
class Leases:
    """What is still needed of one catalog.

    `snapshots` must not expire. `keys` are objects that must stay. Whoever reads and has not said
    which objects began at `since` or later: what was replaced after that moment must stay, too.
    """

    snapshots: frozenset[int] = frozenset()
    keys: frozenset[str] = frozenset()
    since: datetime | None = None

    def joined(self, other: Leases) -> Leases:
        """Return what is needed by either."""
        moments = [moment for moment in (self.since, other.since) if moment is not None]
        return Leases(
            self.snapshots | other.snapshots, self.keys | other.keys, min(moments, default=None)
        )

    @property
    def is_empty(self) -> bool:
        """Tell whether nobody reads anything of it."""
        return not self.snapshots and not self.keys and self.since is None

    def holds(self, key: str, replaced_at: datetime) -> bool:
        """Tell whether an object that was replaced at `replaced_at` may still be read."""
        is_read = self.since is not None and replaced_at >= self.since - SLACK
        return is_read or key in self.keys


class Holder(Protocol):
    """Names what is still needed of a catalog."""

    def leases(self, catalog: Catalog) -> Leases:
        """Return what may still be read, as of now."""


_registered: list[Holder] = []


def register(holder: Holder) -> None:
    """Ask `holder` before anything is deleted; called once, from `AppConfig.ready`."""
    if not any(type(known) is type(holder) for known in _registered):
        _registered.append(holder)


def leases_of(catalog: Catalog) -> Leases:
    """Return all that is still needed of `catalog`.

    Raises `NobodyKnowsReaders` where nobody was registered: then nothing may be deleted.
    """
    if not _registered:
        message = "no room says what is being read: nothing may be deleted"
        raise NobodyKnowsReaders(message)
    return joined(holder.leases(catalog) for holder in _registered)


def joined(found: Iterable[Leases]) -> Leases:
    """Return what is needed by any."""
    whole = Leases()
    for one in found:
        whole = whole.joined(one)
    return whole


class NobodyKnowsReaders(RuntimeError):
    """Who hands out files has not registered."""
