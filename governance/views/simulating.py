"""What would become of people and their queries under a text that does not hold yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_POST

from console.access import actor_of, signed_in, workspace_of
from governance.comparison import MATERIALIZE, Effect
from governance.domain import Action
from governance.examination import PolicyRefused
from governance.impact import Block, Impact
from governance.policy_selectors import find_policy
from governance.proposals import NothingProposed, impact_of, proposed
from governance.reasons import VERBS
from governance.views import composer
from workspaces.models import Workspace
from workspaces.selectors import Principal, principals_of

NAMED = 6
"""How many people and things of one change are named before the rest is folded away."""

HEADINGS = {
    Effect.GAINS: ("gain", "good", "shield-check"),
    Effect.LOSES: ("lose", "bad", "shield-x"),
    Effect.SHOWN: ("see it differently", "warn", "fingerprint"),
    Effect.MOVES: ("run it differently on their machine", "", "laptop"),
}
WORDS = {
    "allowed": "everything as it is",
    "extract": "an extract with policies applied",
    "raw": "the raw files",
    "server": "nothing: on the server only",
}
DEEDS = {MATERIALIZE: "Run on their own machine over"}
"""What is said of an action where its own words would not do."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One change in people's words."""

    block: Block

    @property
    def deed(self) -> str:
        """Return what is done, from the point of view of whoever does it."""
        action = self.block.change.action
        return DEEDS.get(action) or VERBS.get(Action(action), action).capitalize()

    @property
    def before(self) -> str:
        """Return what is so now."""
        return self._said(self.block.change.before)

    @property
    def after(self) -> str:
        """Return what would be so."""
        return self._said(self.block.change.after)

    def _said(self, word: str) -> str:
        changes_access = self.block.change.effect in {Effect.GAINS, Effect.LOSES}
        return word if changes_access and word == "allowed" else WORDS.get(word, word)


@dataclass(frozen=True, slots=True)
class Group:
    """The changes of one effect, with how many people it is about."""

    effect: Effect
    blocks: tuple[Block, ...]

    @property
    def people(self) -> int:
        """Return how many people and programs it is about."""
        return len({one.actor.id for block in self.blocks for one in block.principals})

    @property
    def turns(self) -> list[Turn]:
        """Return the changes."""
        return [Turn(block) for block in self.blocks]

    @property
    def title(self) -> str:
        """Return what happens to them."""
        return HEADINGS[self.effect][0]

    @property
    def tone(self) -> str:
        """Return the class of the badge."""
        return HEADINGS[self.effect][1]

    @property
    def icon(self) -> str:
        """Return the icon that stands for it."""
        return HEADINGS[self.effect][2]


@require_POST
@signed_in
def policy_impact(request: HttpRequest, workspace: str, policy: str) -> HttpResponseBase:
    """Show who gains and who loses if what the editor holds, or the open version, comes to hold."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = find_policy(actor, place, policy)
    text = composer.posted(found, request.POST).text if "mode" in request.POST else None
    context: dict[str, Any] = {"workspace": place, "policy": found}
    try:
        result = impact_of(actor=actor, proposal=proposed(actor=actor, policy=found, text=text))
    except (PolicyRefused, NothingProposed) as problem:
        context["problem"] = problem.as_dict()
    else:
        context |= {"impact": result, "named": NAMED, "groups": _groups(result)}
        context["untouched"] = _untouched(place, result)
    return render(request, "governance/impact.html", context)


def _groups(result: Impact) -> list[Group]:
    found = (Group(e, tuple(b for b in result.blocks if b.change.effect is e)) for e in HEADINGS)
    return [group for group in found if group.blocks]


def _untouched(workspace: Workspace, result: Impact) -> list[Principal]:
    touched = {one.actor.id for block in result.blocks for one in block.principals}
    return [one for one in principals_of(workspace) if one.actor.id not in touched]
