"""Tags on securables: put on, taken off, recorded."""

from __future__ import annotations

import re

from accounts.domain import Actor, PrincipalKind
from audit import services as audit
from audit.domain import Event
from governance import selectors
from governance.domain import Action, Securable
from governance.models import TagAssignment
from governance.securables import target
from governance.services.authorization import authorize
from problems import Invalid

TAG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MAX_TAG_LENGTH = 60


@audit.service
def assign_tag(*, actor: Actor, securable: Securable, tag: str) -> TagAssignment:
    """Put `tag` on the securable; everything below it inherits the tag.

    Raises `AccessDenied`, or `Invalid` for a tag that is not lower-case words joined by hyphens.
    """
    authorize(actor, Action.TABLE_TAG, securable)
    _check_tag(tag)
    before = selectors.assigned_tags_of([securable])[securable.key]
    assignment, _ = TagAssignment.objects.get_or_create(
        securable_key=securable.key,
        tag=tag,
        defaults={
            "organization_id": securable.organization_id,
            "assigned_by_id": actor.id if actor.kind is PrincipalKind.USER else None,
        },
    )
    audit.record(
        actor=actor,
        event=Event.TAG_ASSIGNED,
        target=target(securable),
        before=sorted(before),
        after=sorted(before | {tag}),
    )
    return assignment


@audit.service
def remove_tag(*, actor: Actor, securable: Securable, tag: str) -> None:
    """Take `tag` off the securable itself; an inherited one is taken off where it was put.

    Raises `AccessDenied`, or `Invalid` where the securable does not bear the tag itself.
    """
    authorize(actor, Action.TABLE_TAG, securable)
    before = selectors.assigned_tags_of([securable])[securable.key]
    if tag not in before:
        raise Invalid(
            f"{securable.label} does not itself bear the tag {tag!r}.",
            hint="An inherited tag is removed from the catalog or workspace that bears it.",
        )
    TagAssignment.objects.filter(securable_key=securable.key, tag=tag).delete()
    audit.record(
        actor=actor,
        event=Event.TAG_REMOVED,
        target=target(securable),
        before=sorted(before),
        after=sorted(before - {tag}),
    )


def _check_tag(tag: str) -> None:
    if len(tag) > MAX_TAG_LENGTH or not TAG.fullmatch(tag):
        raise Invalid(
            f"{tag!r} is not a tag.",
            hint="Use lower-case letters and digits, words joined by hyphens: personal-data.",
        )
