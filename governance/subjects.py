"""Whom masks and row filters look at, and whom they do not hold for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from accounts.domain import Actor, PrincipalKind
from workspaces.domain import WorkspaceRole


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom masks and row filters look at: who acts, with the roles held in one workspace."""

    kind: PrincipalKind
    id: UUID
    group_ids: frozenset[UUID]
    roles: frozenset[WorkspaceRole]
    attributes: Mapping[str, str]

    @property
    def values(self) -> dict[str, str]:
        """Return what `principal.<name>` stands for in a row filter."""
        return {**self.attributes, "id": str(self.id)}


def subject(actor: Actor, roles: frozenset[WorkspaceRole]) -> Subject:
    """Return the actor as masks and row filters look at it; only people have an address."""
    email = {"email": actor.label} if actor.is_person else {}
    return Subject(actor.kind, actor.id, actor.group_ids, roles, {**actor.attributes, **email})


@dataclass(frozen=True, slots=True)
class Exemption:
    """Whom a mask or row filter does not hold for: `key` is an id, a role, or `name=value`."""

    kind: str
    key: str

    def covers(self, who: Subject) -> bool:
        """Tell whether `who` is meant."""
        match self.kind:
            case "attribute":
                name, _, value = self.key.partition("=")
                return who.attributes.get(name) == value
            case "group":
                return UUID(self.key) in who.group_ids
            case "role":
                return self.key in who.roles
            case _:
                return who.kind == self.kind and str(who.id) == self.key
