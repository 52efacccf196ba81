"""What tags mean in an organization: defined, changed and deleted by its administrators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accounts.domain import Actor, PrincipalKind
from accounts.models import Organization
from audit import services as audit
from audit.domain import Event
from governance import securables
from governance.domain import Action, Securable
from governance.models import TagAssignment, TagDefinition
from governance.services.authorization import authorize
from governance.services.tags import check_tag
from problems import Conflict, Invalid

MAX_DESCRIPTION_LENGTH = 2000
MAX_ALLOWED_VALUES = 200


class TagInUse(Conflict):
    """The tag, or a value of it, is still assigned: taking its meaning away would hide that."""

    code = "tag-in-use"
    title = "The tag is in use"


@audit.service
def define_tag(
    *,
    actor: Actor,
    organization: Organization,
    name: str,
    description: str = "",
    allowed_values: Sequence[str] = (),
    is_governed: bool = False,
) -> TagDefinition:
    """Say what a tag means. What bears the tag already keeps it.

    Raises `AccessDenied`, `Conflict` where it is defined already, or `Invalid`.
    """
    securable = _authorized(actor, organization)
    check_tag(name)
    _check_description(description)
    _check_values(allowed_values)
    if TagDefinition.objects.filter(organization=organization, name=name).exists():
        raise Conflict(f"The tag {name!r} is defined already.", hint="Change its definition.")
    definition = TagDefinition.objects.create(
        organization=organization,
        name=name,
        description=description,
        allowed_values=list(allowed_values),
        is_governed=is_governed,
        created_by_id=actor.id if actor.kind is PrincipalKind.USER else None,
    )
    audit.record(
        actor=actor,
        event=Event.TAG_DEFINED,
        target=securables.target(securable),
        after=_state(definition),
    )
    return definition


@audit.service
def change_tag_definition(
    *,
    actor: Actor,
    definition: TagDefinition,
    description: str | None = None,
    allowed_values: Sequence[str] | None = None,
    is_governed: bool | None = None,
) -> TagDefinition:
    """Change what a tag means; None leaves a part as it is.

    Raises `AccessDenied`, `Invalid`, or `TagInUse` where a value that goes is still assigned.
    """
    securable = _authorized(actor, definition.organization)
    definition = TagDefinition.objects.select_for_update().get(pk=definition.pk)
    before = _state(definition)
    if description is not None:
        _check_description(description)
        definition.description = description
    if allowed_values is not None:
        _check_values(allowed_values)
        _check_unused(definition, set(definition.allowed_values) - set(allowed_values))
        definition.allowed_values = list(allowed_values)
    if is_governed is not None:
        definition.is_governed = is_governed
    if _state(definition) == before:
        return definition
    definition.save()
    audit.record(
        actor=actor,
        event=Event.TAG_DEFINITION_CHANGED,
        target=securables.target(securable),
        before=before,
        after=_state(definition),
    )
    return definition


@audit.service
def delete_tag_definition(*, actor: Actor, definition: TagDefinition) -> None:
    """Forget what a tag means. Raises `AccessDenied`, or `TagInUse` while anything bears it."""
    securable = _authorized(actor, definition.organization)
    definition = TagDefinition.objects.select_for_update().get(pk=definition.pk)
    _check_unused(definition)
    audit.record(
        actor=actor,
        event=Event.TAG_DEFINITION_DELETED,
        target=securables.target(securable),
        before=_state(definition),
    )
    definition.delete()


def _authorized(actor: Actor, organization: Organization) -> Securable:
    securable = securables.organization(organization)
    authorize(actor, Action.TAG_DEFINE, securable)
    return securable


def _state(definition: TagDefinition) -> dict[str, Any]:
    return {
        "name": definition.name,
        "description": definition.description,
        "allowed_values": definition.allowed_values,
        "is_governed": definition.is_governed,
    }


def _check_description(description: str) -> None:
    if len(description) > MAX_DESCRIPTION_LENGTH:
        message = f"The description is longer than {MAX_DESCRIPTION_LENGTH:,} characters."
        raise Invalid(message, hint="Say it shorter.")


def _check_values(values: Sequence[str]) -> None:
    for value in values:
        check_tag(value, "value of a tag")
    if len(set(values)) < len(values):
        message = "A value is named twice."
        raise Invalid(message, hint="Name every allowed value once.")
    if len(values) > MAX_ALLOWED_VALUES:
        raise Invalid(f"A tag may have up to {MAX_ALLOWED_VALUES} values.", hint="Name fewer.")


def _check_unused(definition: TagDefinition, values: set[str] | None = None) -> None:
    """Refuse while something bears the tag, or one of `values`; policies name only tags in use."""
    bearers = TagAssignment.objects.filter(
        organization_id=definition.organization_id, tag=definition.name
    )
    if values is not None:
        bearers = bearers.filter(value__in=values)
    if count := bearers.count():
        what = f"{definition.name!r}" if values is None else ", ".join(sorted(values))
        raise TagInUse(
            f"{what} is still on {count:,} thing{'s' if count > 1 else ''}.",
            hint="Take it off first; the ledger's tag.assigned events say where it was put.",
        )
