"""Who gains, who loses and for whom data looks different, before a change of policies holds.

Everyone who may act in the workspace is asked about everything in the policy's scope, under what
holds now and under what would hold.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from accounts.domain import Actor
from governance import inventory
from governance.bundle import Bundle
from governance.comparison import Change, Comparison, Effect
from governance.domain import Action, Request, Securable
from governance.selectors import decide_many, facts_about
from workspaces.models import Workspace
from workspaces.selectors import Principal, principals_of


@dataclass(frozen=True, slots=True)
class Block:
    """One change that is the same for each of some principals on each of some things."""

    change: Change
    principals: tuple[Principal, ...]
    securables: tuple[Securable, ...]
    unnamed: int = 0
    """How many more things it is about that the reader may not know of."""

    @property
    def count(self) -> int:
        """Return how many pairs of a principal and a thing it is about."""
        return len(self.principals) * (len(self.securables) + self.unnamed)


@dataclass(frozen=True, slots=True)
class Row:
    """One change of one action of one principal on one thing."""

    principal: Principal
    securable: Securable
    change: Change


@dataclass(frozen=True, slots=True)
class Impact:
    """Everything that would change, and among how many it was looked for."""

    blocks: tuple[Block, ...]
    principals_considered: int
    securables_considered: int

    @property
    def counts(self) -> dict[str, int]:
        """Return how many pairs each effect is about."""
        return {
            effect.value: sum(b.count for b in self.blocks if b.change.effect is effect)
            for effect in Effect
        }

    @property
    def principals_affected(self) -> int:
        """Return for how many anything changes."""
        return len({p.actor.id for block in self.blocks for p in block.principals})

    @property
    def unnamed(self) -> int:
        """Return how many changes are counted but not listed."""
        return sum(len(block.principals) * block.unnamed for block in self.blocks)

    def rows(self, offset: int = 0, limit: int | None = None) -> list[Row]:
        """Return a page of the changes, one for each principal and thing."""
        return list(islice(self._rows(), offset, None if limit is None else offset + limit))

    def _rows(self) -> Iterator[Row]:
        for block in self.blocks:
            for principal in block.principals:
                for securable in block.securables:
                    yield Row(principal, securable, block.change)


def within(workspace: Workspace, scope: Securable) -> list[Securable]:
    """Return a scope with the catalogs and tables below it, the tables with their columns."""
    tables = inventory.tables(workspace, scope)
    nodes = [scope, *(t.parent for t in tables if t.parent), *tables]
    above = {node.key for node in scope.ancestors}
    found = {node.key: node for node in nodes if node.key not in above}
    return list(found.values())


def impact(
    *,
    workspace: Workspace,
    securables: Sequence[Securable],
    now: Bundle,
    then: Bundle,
    reader: Actor | None = None,
) -> Impact:
    """Return what changes on `securables` for anyone if `then` holds in place of `now`.

    They are what `within` finds in the scope of what changed. Local mode is asked as from
    an approved device. What `reader` may not browse is counted, never named.
    """
    people = principals_of(workspace)
    if not securables:
        return Impact((), len(people), 0)
    facts = facts_about(workspace, securables)
    comparison = Comparison(now, then, facts)
    groups = {group[0].key: group for group in comparison.by_class(securables)}
    first = [group[0] for group in groups.values()]
    found: dict[tuple[Hashable, Change], list[Securable]] = {}
    alike: dict[Hashable, list[Principal]] = {}
    for principal in people:
        alike.setdefault(comparison.class_of(principal), []).append(principal)
    for key, members in alike.items():
        for one, change in comparison.changes(members[0], first):
            found.setdefault((key, change), []).extend(groups[one.key])
    known = _known_to(reader, securables) if reader else None
    blocks = _merged((change, alike[key], about) for (key, change), about in found.items())
    return Impact(tuple(_told(b, known) for b in blocks), len(people), len(securables))


def _merged(
    found: Iterable[tuple[Change, Sequence[Principal], Sequence[Securable]]],
) -> list[Block]:
    """Return one block for each change and set of things, those about most first."""
    merged: dict[tuple[Change, tuple[Securable, ...]], list[Principal]] = {}
    for change, principals, about in found:
        things = tuple(sorted(about, key=lambda s: (s.label, s.key)))
        merged.setdefault((change, things), []).extend(principals)
    blocks = [
        Block(change, tuple(sorted(who, key=lambda p: (p.actor.label, p.actor.id))), things)
        for (change, things), who in merged.items()
    ]
    order = list(Effect)
    return sorted(blocks, key=lambda b: (order.index(b.change.effect), b.change.action, -b.count))


def _known_to(reader: Actor, securables: Sequence[Securable]) -> frozenset[str]:
    asked = [Request(Action.CATALOG_BROWSE, one) for one in securables]
    return frozenset(d.securable_key for d in decide_many(reader, asked) if d.allowed)


def _told(block: Block, known: frozenset[str] | None) -> Block:
    if known is None:
        return block
    named = tuple(s for s in block.securables if s.key in known)
    return replace(block, securables=named, unnamed=len(block.securables) - len(named))
