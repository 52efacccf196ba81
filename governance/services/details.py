"""Descriptions and classifications of securables: written by those who may tag them, recorded."""

from __future__ import annotations

from collections.abc import Collection

from accounts.domain import Actor, PrincipalKind
from audit import services as audit
from audit.domain import Event
from governance import details, selectors
from governance.domain import Action, Securable
from governance.models import SecurableDetails
from governance.securables import table_key_of, target
from governance.services.authorization import authorize
from governance.services.tags import assign_tag, remove_tag
from governance.tags import shown
from problems import Invalid

MAX_DESCRIPTION_LENGTH = 4000


@audit.service
def describe(
    *,
    actor: Actor,
    securable: Securable,
    description: str | None = None,
    classification: str | None = None,
    tags: Collection[str] | None = None,
) -> None:
    """Say what a catalog, table or column holds and how it is classified; None leaves a part.

    An empty classification takes the securable's own away; what it inherits stays. `tags` are all
    its own others, `name` or `name=value`. Raises `AccessDenied`, or `Invalid` for what is no tag
    or classification of the organization; then nothing was changed.
    """
    authorize(actor, Action.TABLE_TAG, securable)
    if description is not None:
        _set_description(actor, securable, description.strip())
    if classification is not None:
        _classify(actor, securable, classification)
    if tags is not None:
        _retag(actor, securable, tags)


def _set_description(actor: Actor, securable: Securable, description: str) -> None:
    if len(description) > MAX_DESCRIPTION_LENGTH:
        message = f"The description is longer than {MAX_DESCRIPTION_LENGTH:,} characters."
        raise Invalid(message, hint="Say it shorter, or link to where it is said at length.")
    before = details.descriptions_of([securable]).get(securable.key, "")
    if description == before:
        return
    SecurableDetails.objects.update_or_create(
        securable_key=securable.key,
        defaults={
            "organization_id": securable.organization_id,
            "table_key": table_key_of(securable),
            "description": description,
            "updated_by_id": actor.id if actor.kind is PrincipalKind.USER else None,
        },
    )
    audit.record(
        actor=actor,
        event=Event.SECURABLE_DESCRIBED,
        target=target(securable),
        before=before,
        after=description,
    )


def _classify(actor: Actor, securable: Securable, classification: str) -> None:
    own = selectors.assigned_tags_of([securable])[securable.key]
    if f"{details.CLASSIFICATION}={classification}" in own:
        return
    if classification:
        assign_tag(
            actor=actor, securable=securable, tag=details.CLASSIFICATION, value=classification
        )
    elif details.CLASSIFICATION in own:
        remove_tag(actor=actor, securable=securable, tag=details.CLASSIFICATION)


def _retag(actor: Actor, securable: Securable, tags: Collection[str]) -> None:
    own = selectors.assigned_tags_of([securable])[securable.key]
    before = {tag for tag in shown(own) if tag.partition("=")[0] != details.CLASSIFICATION}
    names = {tag.partition("=")[0] for tag in tags}
    for tag in sorted(before):
        if tag.partition("=")[0] not in names:
            remove_tag(actor=actor, securable=securable, tag=tag.partition("=")[0])
    for tag in sorted(set(tags) - before):
        name, _, value = tag.partition("=")
        assign_tag(actor=actor, securable=securable, tag=name, value=value)
