"""Policies as the console lists them: where each stands, in a few words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Prefetch

from accounts.domain import Actor
from governance.domain import PolicyKind, VersionState
from governance.models import Policy, PolicyVersion
from governance.policy_selectors import is_loud, visible_policies, withheld
from workspaces.models import Workspace

KINDS = {
    PolicyKind.MASK: ("Mask", "fingerprint"),
    PolicyKind.ROW_FILTER: ("Row filter", "filter"),
    PolicyKind.ACCESS: ("Access", "key-round"),
}
STANDINGS = {
    "holds": "In force",
    "draft": "Drafts",
    "in_review": "In review",
    "broken": "Broken",
    "ended": "Ended",
}


@dataclass(frozen=True, slots=True)
class PolicyLine:
    """One policy in a list: what is in force of it, and what is open beside that."""

    policy: Policy
    in_force: PolicyVersion | None
    open: PolicyVersion | None
    newest: PolicyVersion | None
    is_withheld: bool = False

    @property
    def kind(self) -> str:
        """Return the kind as people say it."""
        return KINDS[PolicyKind(self.policy.kind)][0]

    @property
    def icon(self) -> str:
        """Return the icon that stands for the kind."""
        return KINDS[PolicyKind(self.policy.kind)][1]

    @property
    def summary(self) -> str:
        """Return the sentence of what is in force, or else of the newest text."""
        shown = self.in_force or self.open or self.newest
        return shown.summary if shown and not self.is_withheld else ""

    @property
    def is_broken(self) -> bool:
        """Tell whether what is in force names something that is gone."""
        return bool(self.in_force and self.policy.broken_because)

    @property
    def is_loud(self) -> bool:
        """Tell whether it was lately published by breaking the glass."""
        return is_loud(self.in_force)

    @property
    def standings(self) -> frozenset[str]:
        """Return the states by which the list may be filtered that it is in."""
        found = {self.open.state} if self.open else set()
        found |= {"holds"} if self.in_force else set()
        found |= {"broken"} if self.is_broken else set()
        return frozenset(found or {"ended"})


def policy_lines(actor: Actor, workspace: Workspace) -> list[PolicyLine]:
    """Return the policies that the actor may see, by name, with their versions in one statement."""
    versions = PolicyVersion.objects.order_by("-number")
    rows = visible_policies(actor, workspace).prefetch_related(Prefetch("versions", versions))
    found = [_line(policy) for policy in rows.order_by("name")]
    shown = [v for line in found for v in (line.in_force, line.open, line.newest) if v]
    hidden = withheld(actor, workspace, shown)
    return [
        PolicyLine(one.policy, one.in_force, one.open, one.newest, is_withheld=True)
        if any(v and v.id in hidden for v in (one.in_force, one.open, one.newest))
        else one
        for one in found
    ]


def _line(policy: Policy) -> PolicyLine:
    versions = list(policy.versions.all())
    return PolicyLine(
        policy,
        in_force=_first(versions, {VersionState.PUBLISHED}),
        open=_first(versions, {VersionState.DRAFT, VersionState.IN_REVIEW}),
        newest=versions[0] if versions else None,
    )


def _first(versions: Iterable[PolicyVersion], states: set[VersionState]) -> PolicyVersion | None:
    return next((v for v in versions if v.state in states), None)
