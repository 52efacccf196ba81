"""Tags on securables: put on, taken off, recorded."""

from __future__ import annotations

import re

from accounts.domain import Actor, PrincipalKind
from accounts.models import Organization
from audit import services as audit
from audit.domain import Event
from governance import selectors
from governance.details import CLASSIFICATION, classifications_of
from governance.domain import Action, Securable, SecurableKind
from governance.models import TagAssignment, TagDefinition
from governance.securables import table_key_of, target
from governance.services.authorization import authorize
from governance.tags import shown, spelled
from problems import Invalid

TAG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MAX_TAG_LENGTH = 60


@audit.service
def assign_tag(*, actor: Actor, securable: Securable, tag: str, value: str = "") -> TagAssignment:
    """Put `tag` on the securable; everything below it inherits the tag.

    A securable has a tag once: another `value` replaces the one before. Raises `AccessDenied`,
    or `Invalid` for a tag that is not lower-case words joined by hyphens, is not defined where
    only defined ones may be used, or has a value that its definition does not allow.
    """
    authorize(actor, Action.TABLE_TAG, securable)
    check_tag(tag)
    definition = _definition(actor, securable, tag)
    _check_value(tag, value, definition, securable)
    before = selectors.assigned_tags_of([securable])[securable.key]
    assignment, _ = TagAssignment.objects.update_or_create(
        securable_key=securable.key,
        tag=tag,
        defaults={"value": value},
        create_defaults={
            "value": value,
            "table_key": table_key_of(securable),
            "organization_id": securable.organization_id,
            "assigned_by_id": actor.id if actor.kind is PrincipalKind.USER else None,
        },
    )
    audit.record(
        actor=actor,
        event=Event.TAG_ASSIGNED,
        target=target(securable),
        before=shown(before),
        after=shown(_without(before, tag) | spelled(tag, value)),
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
            hint="An inherited tag is removed from the table, catalog or workspace that bears it.",
        )
    _definition(actor, securable, tag)
    TagAssignment.objects.filter(securable_key=securable.key, tag=tag).delete()
    audit.record(
        actor=actor,
        event=Event.TAG_REMOVED,
        target=target(securable),
        before=shown(before),
        after=shown(_without(before, tag)),
    )


def check_tag(tag: str, what: str = "tag") -> None:
    """Raise `Invalid` unless the text may be a tag, or a tag's value."""
    if len(tag) > MAX_TAG_LENGTH or not TAG.fullmatch(tag):
        raise Invalid(
            f"{tag[:80]!r} is not a {what}.",
            hint="Use lower-case letters and digits, words joined by hyphens: personal-data.",
        )


def managing(securable: Securable) -> Action:
    """Return the action of those who manage the securable."""
    if securable.kind in {SecurableKind.CATALOG, SecurableKind.TABLE, SecurableKind.COLUMN}:
        return Action.CATALOG_MANAGE
    return Action.WORKSPACE_MANAGE


def _definition(actor: Actor, securable: Securable, tag: str) -> TagDefinition | None:
    """Return what the organization says of the tag; a governed one takes who manages."""
    found = TagDefinition.objects.filter(organization_id=securable.organization_id, name=tag)
    definition = found.first()
    if definition is not None and definition.is_governed:
        authorize(actor, managing(securable), securable)
    return definition


def _check_value(
    tag: str, value: str, definition: TagDefinition | None, securable: Securable
) -> None:
    allowed = definition.allowed_values if definition else []
    if tag == CLASSIFICATION:
        allowed = list(classifications_of(securable.organization_id))
    if allowed and value not in allowed:
        raise Invalid(
            f"{value!r} is not a value of the tag {tag!r}." if value else f"{tag!r} needs a value.",
            hint=f"Use one of: {', '.join(allowed)}.",
        )
    if allowed:
        return
    if definition is None:
        _check_undefined(tag, securable)
        if value:
            check_tag(value, "value of a tag")
    elif value:
        raise Invalid(
            f"The tag {tag!r} has no values, so {value!r} is not one.",
            hint="Assign it without a value, or have an administrator add values to it.",
        )


def _check_undefined(tag: str, securable: Securable) -> None:
    if not Organization.objects.filter(
        id=securable.organization_id, governed_tags_only=True
    ).exists():
        return
    defined = TagDefinition.objects.filter(organization_id=securable.organization_id)
    names = ", ".join(defined.values_list("name", flat=True)) or "none yet"
    raise Invalid(
        f"The tag {tag!r} is not defined, and the organization uses defined tags only.",
        hint=f"Defined are: {names}. An administrator of the organization can define more.",
    )


def _without(tags: frozenset[str], tag: str) -> frozenset[str]:
    return frozenset(found for found in tags if found.partition("=")[0] != tag)
