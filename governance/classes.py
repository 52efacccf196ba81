"""What policies can tell apart: questions that look alike to all of them have one answer.

A decision about ten thousand tables, or for a thousand people, is then asked for each class once.
What is not known to be without influence distinguishes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from accounts.domain import Actor
from governance.domain import Securable, SecurableKind
from governance.entities import Facts
from workspaces.domain import WorkspaceRole

ANYTHING = "*"
"""Stands for all parts of the context: a policy handles it as a whole."""

NOW = {".": {"left": {"Var": "context"}, "attr": "now"}}
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")

NUMEROUS = frozenset({SecurableKind.COLUMN, SecurableKind.TABLE})
"""What there may be ten thousand of; of the rest, each is a class of its own."""


@dataclass(frozen=True, slots=True)
class Lens:
    """What some Cedar policies look at.

    `named` are the ids of all entities in their text, `circumstances` the parts of the context
    that they read, and `reads_attributes` says whether they look at attributes of principals.
    """

    named: frozenset[str]
    circumstances: frozenset[str]
    reads_attributes: bool
    instants: tuple[datetime, ...] | None = ()
    """What the time is compared with; None where it is used in other ways too."""

    def moment(self, at: datetime) -> Hashable:
        """Return what is equal for moments that the policies cannot tell apart."""
        if self.instants is None or ANYTHING in self.circumstances:
            return at
        return bisect_left(self.instants, at), bisect_right(self.instants, at)

    def securable(self, of: Securable, facts: Facts) -> Hashable:
        """Return what is equal for securables that the policies cannot tell apart."""
        is_known = of.kind not in NUMEROUS or of.parent is None or of.key in self.named
        owner = facts.owners.get(of.key)
        return (
            of.kind,
            of.key if is_known else "",
            of.parent.key if of.parent else "",
            of.organization_id,
            of.workspace_id,
            facts.tags_of(of),
            owner.id if owner else None,
            frozenset(one.id for one in facts.owners_above(of)),
        )

    def principal(
        self, actor: Actor, roles: frozenset[WorkspaceRole], owners: frozenset[UUID]
    ) -> Hashable:
        """Return what is equal for actors that the policies cannot tell apart.

        `owners` are those of the securables in question. The device and the token are for the
        caller to hold equal.
        """
        is_known = actor.id in owners or str(actor.id) in self.named
        return (
            actor.kind,
            actor.id if is_known else None,
            actor.organization_id,
            actor.organization_role,
            roles,
            frozenset(group for group in actor.group_ids if str(group) in self.named),
            frozenset(actor.attributes.items()) if self.reads_attributes else frozenset(),
        )


def lens(bodies: Iterable[Mapping[str, object]]) -> Lens:
    """Return what policies in Cedar's JSON form look at."""
    nodes = [node for body in bodies for node in _nodes(body)]
    named = (node["id"] for node in nodes if {"type", "id"} <= node.keys())
    read = [name for node in nodes if (name := _circumstance(node))]
    mentioned = sum(node == {"Var": "context"} for node in nodes)
    return Lens(
        frozenset(str(identifier) for identifier in named),
        frozenset(read if mentioned == len(read) else [*read, ANYTHING]),
        any(not node.keys().isdisjoint({"getTag", "hasTag"}) for node in nodes),
        _instants(nodes),
    )


def _instants(nodes: Iterable[Mapping[str, Any]]) -> tuple[datetime, ...] | None:
    """Return the instants that the time is compared with, if nothing else is done with it."""
    uses, found = 0, set()
    for node in nodes:
        uses += node == NOW
        for sides in (node.get(operator) for operator in COMPARISONS):
            if sides is not None and NOW in (sides["left"], sides["right"]):
                other = sides["right"] if sides["left"] == NOW else sides["left"]
                found.add(_instant(other))
                uses -= 1
    return None if uses or None in found else tuple(sorted(one for one in found if one))


def _instant(expression: Mapping[str, Any]) -> datetime | None:
    """Return the instant that a literal stands for; None for anything else."""
    try:
        (literal,) = expression["datetime"]
        moment = datetime.fromisoformat(literal["Value"])
    except (KeyError, TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _circumstance(node: Mapping[str, Any]) -> str:
    """Return the part of the context that an expression reads, empty where it reads none."""
    for access in (node.get("."), node.get("has")):
        if isinstance(access, dict) and access.get("left") == {"Var": "context"}:
            return str(access["attr"])
    return ""


def _nodes(body: object) -> Iterator[Mapping[str, Any]]:
    """Return every object within, however deep."""
    waiting: list[object] = [body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            yield node
            waiting += node.values()
        elif isinstance(node, list | tuple):
            waiting += node
