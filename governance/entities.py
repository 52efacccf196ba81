"""From the values of this code base to Cedar's entities and requests, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from uuid import UUID

from accounts.domain import Actor, DeviceIdentity, PrincipalKind
from governance import tags
from governance.domain import Action, DecisionContext, Request, Securable
from governance.engine import Json
from workspaces.domain import WorkspaceRole

TYPES = {
    PrincipalKind.SERVICE_ACCOUNT: "ServiceAccount",
    PrincipalKind.SYSTEM: "System",
    PrincipalKind.USER: "User",
}


NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who answers for a securable, and how to reach them."""

    id: UUID
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the database knows that a batch of requests needs.

    `tags` and `owners` are by securable key, before inheritance; `roles` by workspace.
    """

    roles: Mapping[UUID, frozenset[WorkspaceRole]]
    tags: Mapping[str, frozenset[str]]
    owners: Mapping[str, Owner]
    local_mode_enabled: bool

    def tags_of(self, securable: Securable) -> frozenset[str]:
        """Return the securable's tags with those it inherits."""
        return tags.inherited(securable, self.tags)

    def roles_in(self, workspace_id: UUID | None) -> frozenset[WorkspaceRole]:
        """Return the principal's roles in one workspace; none outside any."""
        return self.roles.get(workspace_id, frozenset()) if workspace_id else frozenset()

    def owner_of(self, securable: Securable) -> Owner | None:
        """Return who answers for the securable: its owner, else its nearest ancestor's."""
        chain = (securable, *securable.ancestors)
        return next((self.owners[n.key] for n in chain if n.key in self.owners), None)

    def owners_above(self, securable: Securable) -> tuple[Owner, ...]:
        """Return everyone who answers for the securable or for what holds it, nearest first."""
        chain = (securable, *securable.ancestors)
        return tuple(self.owners[n.key] for n in chain if n.key in self.owners)


def principal(actor: Actor, roles: Iterable[WorkspaceRole]) -> Json:
    """Return the actor as an entity, with the roles of the workspace in question."""
    attributes: Json = {
        "organization_role": actor.organization_role.value,
        "workspace_roles": sorted(roles),
    }
    if actor.organization_id is not None:
        attributes["organization"] = {"__entity": _organization(actor.organization_id)}
    entity: Json = {
        "uid": _principal_uid(actor),
        "attrs": attributes,
        "parents": [_uid("Group", str(group)) for group in sorted(actor.group_ids)],
    }
    if actor.attributes:
        entity["tags"] = dict(actor.attributes)
    return entity


def resources(securables: Iterable[Securable], facts: Facts) -> list[Json]:
    """Return the securables and all their ancestors as entities, each once."""
    nodes = {node.key: node for s in securables for node in (s, *s.ancestors)}
    return [_resource(node, facts) for node in nodes.values()]


def request(actor: Actor, asked: Request, circumstances: Json) -> Json:
    """Return one question in Cedar's form."""
    return {
        "principal": _principal_uid(actor),
        "action": _uid("Action", Action(asked.action).value),
        "resource": _uid(asked.securable.kind.value, asked.securable.key),
        "context": circumstances,
    }


def moment(context: DecisionContext) -> datetime:
    """Return the time at which is decided, as Cedar is told it: in whole seconds."""
    return (context.now or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)


def circumstances(actor: Actor, context: DecisionContext, facts: Facts) -> Json:
    """Return Cedar's context: where, when, on which device, from where, with which token."""
    return {
        "place": context.place,
        "now": _instant(context.now or datetime.now(UTC)),
        "mfa": actor.mfa,
        "local_mode_enabled": facts.local_mode_enabled,
        "bytes": context.scan_bytes,
        "purpose": context.purpose,
        "device": _device(actor.device),
        "network": _network(actor.address),
        "token": {
            "present": actor.scopes is not None,
            "scopes": sorted(actor.scopes or ()),
        },
    }


def asker(actor: Actor, facts: Facts, workspace_id: UUID | None) -> Hashable:
    """Return what is equal where `principal`, and `circumstances` but for its context, are."""
    device = actor.device
    return (
        actor.kind,
        actor.id,
        actor.organization_id,
        actor.organization_role,
        actor.group_ids,
        json.dumps(actor.attributes, sort_keys=True) if actor.attributes else "",
        facts.roles_in(workspace_id),
        facts.local_mode_enabled,
        actor.mfa,
        actor.address,
        actor.scopes,
        device
        and (
            device.is_approved,
            device.is_managed,
            device.is_disk_encrypted,
            device.os,
            device.last_seen_at,
        ),
    )


def question(asked: Request, context: DecisionContext, facts: Facts) -> Hashable:
    """Return what is equal where `request` and `resources` are, at the same time."""
    nodes = (asked.securable, *asked.securable.ancestors)
    return (
        asked.action,
        context.place,
        context.scan_bytes,
        context.purpose,
        *(
            (
                node.kind,
                node.key,
                node.organization_id,
                facts.tags.get(node.key),
                owner.id if (owner := facts.owners.get(node.key)) else None,
            )
            for node in nodes
        ),
    )


def _device(device: DeviceIdentity | None) -> Json:
    return {
        "present": device is not None,
        "approved": device is not None and device.is_approved,
        "managed": device is not None and device.is_managed,
        "disk_encrypted": device is not None and device.is_disk_encrypted,
        "os": device.os if device else "",
        "last_seen": _instant((device.last_seen_at if device else None) or NEVER),
    }


def _network(address: str) -> Json:
    """Return the client's address; nothing where there is none, or none that Cedar can read."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return {}
    plain = getattr(found, "ipv4_mapped", None) or found
    return {"address": {"__extn": {"fn": "ip", "arg": str(plain)}}}


def _instant(moment: datetime) -> Json:
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"__extn": {"fn": "datetime", "arg": text}}


def _resource(securable: Securable, facts: Facts) -> Json:
    attributes: Json = {
        "organization": {"__entity": _organization(securable.organization_id)},
        "owners": _people({owner.id for owner in facts.owners_above(securable)}),
        "tags": sorted(facts.tags_of(securable)),
    }
    if owner := facts.owners.get(securable.key):
        attributes["owner"] = {"__entity": _uid("User", str(owner.id))}
    parent = securable.parent
    return {
        "uid": _uid(securable.kind.value, securable.key),
        "attrs": attributes,
        "parents": [_uid(parent.kind.value, parent.key)] if parent else [],
    }


def _people(identifiers: Iterable[UUID]) -> list[Json]:
    return [{"__entity": _uid("User", text)} for text in sorted(map(str, identifiers))]


def _principal_uid(actor: Actor) -> Json:
    return _uid(TYPES[actor.kind], str(actor.id))


def _organization(identifier: UUID) -> Json:
    return _uid("Organization", f"organization:{identifier}")


def _uid(kind: str, identifier: str) -> Json:
    return {"type": kind, "id": identifier}
