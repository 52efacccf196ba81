"""The steps of a policy's life, each a button with its reason: submitted, published, ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.domain import Actor
from console.access import actor_of, signed_in, workspace_of
from governance.domain import VersionState
from governance.models import Policy
from governance.policy_selectors import find_policy
from governance.services import policies
from governance.services.policies import rows
from governance.views.editing import keep, keep_around, number_of, refused
from problems import Problem


class Step(NamedTuple):
    """One step as it was asked for."""

    actor: Actor
    policy: Policy
    request: HttpRequest

    @property
    def reason(self) -> str:
        """Return why, in the person's words."""
        return self.request.POST.get("reason", "").strip()

    @property
    def number(self) -> int:
        """Return the version it is about."""
        return number_of(self.request)

    def saved(self) -> str:
        """Save what the editor holds, where it is open, and return the draft's etag."""
        opened = rows.open_version(self.policy)
        if opened is None or opened.state != VersionState.DRAFT:
            return self.request.POST.get("etag", "")
        if "mode" not in self.request.POST:
            return self.request.POST.get("etag", "")
        version = keep(self.actor, self.policy, self.request, self.reason or None)
        renamed = keep_around(self.actor, self.policy, self.request)
        self.policy.name = renamed.name
        return version.etag


@require_POST
@signed_in
def policy_step(request: HttpRequest, workspace: str, policy: str, step: str) -> HttpResponseBase:
    """Take one step; the page is loaded again where it was taken, else says why it was not."""
    if step not in STEPS:
        raise Http404
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = find_policy(actor, place, policy)
    try:
        said = STEPS[step](Step(actor, found, request))
    except Problem as problem:
        return refused(request, found, problem)
    messages.success(request, said)
    if Policy.objects.filter(id=found.id).exists():
        address = reverse("page-policy", args=[place.slug, found.name])
    else:
        address = reverse("page-policies", args=[place.slug])
    return HttpResponse(headers={"HX-Redirect": address})


def _submit(step: Step) -> str:
    etag = step.saved()
    policies.submit_version(
        actor=step.actor,
        policy=step.policy,
        number=step.number,
        expected=etag,
        reason=step.reason,
    )
    return f"{step.policy.name} waits for someone else who may publish it."


def _publish(step: Step) -> str:
    return _published(step, break_glass=False)


def _break_glass(step: Step) -> str:
    return _published(step, break_glass=True)


def _published(step: Step, *, break_glass: bool) -> str:
    etag = step.saved()
    version = policies.publish_policy(
        actor=step.actor,
        policy=step.policy,
        number=step.number,
        expected=etag,
        reason=step.reason,
        break_glass=break_glass,
    )
    if version.is_retirement:
        return f"{step.policy.name} has ended."
    return f"Version {version.number} of {step.policy.name} is in force."


def _approve(step: Step) -> str:
    policies.approve_version(
        actor=step.actor, policy=step.policy, number=step.number, reason=step.reason
    )
    return f"Version {step.number} is approved; it may be published."


def _reject(step: Step) -> str:
    policies.reject_version(
        actor=step.actor, policy=step.policy, number=step.number, reason=step.reason
    )
    return f"Version {step.number} is sent back."


def _discard(step: Step) -> str:
    policies.discard_draft(
        actor=step.actor,
        policy=step.policy,
        number=step.number,
        expected=step.request.POST.get("etag", ""),
    )
    return "The draft is discarded; the ledger keeps its text."


def _retire(step: Step) -> str:
    version = policies.retire_policy(actor=step.actor, policy=step.policy, reason=step.reason)
    if version.state == VersionState.IN_REVIEW:
        return "Its end waits for someone else who may publish it."
    return f"{step.policy.name} has ended."


def _roll_back(step: Step) -> str:
    version = policies.roll_back_policy(
        actor=step.actor, policy=step.policy, reason=step.reason, to=step.number or None
    )
    return f"Version {version.number} is in force, with the text of version {step.number}."


STEPS: dict[str, Callable[[Step], str]] = {
    "approve": _approve,
    "break-glass": _break_glass,
    "discard": _discard,
    "publish": _publish,
    "reject": _reject,
    "retire": _retire,
    "roll-back": _roll_back,
    "submit": _submit,
}
