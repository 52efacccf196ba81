"""The platform's own permissions: below governance's policies, so plain rules over roles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from accounts.domain import Actor, OrganizationRole, PrincipalKind
from audit.domain import Event
from audit.services import Denial, Target
from problems import Problem


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of a rule: `reason` for the person asking, `remedy` for what would help."""

    allowed: bool
    action: str
    reason: str
    remedy: str = ""

    def as_dict(self, target: Target) -> dict[str, Any]:
        """Return the verdict in the shape of governance's decisions."""
        return {
            "allowed": self.allowed,
            "action": self.action,
            "securable": {"key": f"{target.kind}:{target.id}", "label": target.label},
            "reason": self.reason,
            "determined_by": [],
            "remedy": self.remedy,
        }


class NotAllowed(Problem):
    """The actor sees the target but may not do this to it. Recorded by the service's decorator."""

    code: ClassVar[str] = "access-denied"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "Not allowed"

    def __init__(self, verdict: Verdict, *, actor: Actor, target: Target) -> None:
        decision = verdict.as_dict(target)
        super().__init__(verdict.reason, hint=verdict.remedy, decision=decision)
        self.denial = Denial(actor, Event.DECISION_DENIED, target, decision)


def administer(actor: Actor, organization_id: UUID | None, action: str) -> Verdict:
    """Decide whether `actor` may administer an organization: its people, devices and programs."""
    if actor.kind is PrincipalKind.SYSTEM:
        return Verdict(True, action, "Upend itself acts.")
    is_own = organization_id is not None and actor.organization_id == organization_id
    if is_own and actor.is_person and actor.organization_role is OrganizationRole.ADMIN:
        return Verdict(True, action, "Organization administrators may do this.")
    return Verdict(
        False,
        action,
        "Only an administrator of the organization may do this.",
        "Ask an administrator of your organization.",
    )


def own_or_administer(
    actor: Actor, owner_id: UUID, organization_id: UUID | None, action: str
) -> Verdict:
    """Decide whether `actor` may manage what belongs to `owner_id`: the owner, or an admin."""
    if actor.is_person and actor.id == owner_id:
        return Verdict(True, action, "It is the actor's own.")
    return administer(actor, organization_id, action)


def require(verdict: Verdict, *, actor: Actor, target: Target) -> None:
    """Raise `NotAllowed` unless `verdict` allows."""
    if not verdict.allowed:
        raise NotAllowed(verdict, actor=actor, target=target)
