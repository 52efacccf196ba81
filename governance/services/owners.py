"""Who answers for a securable: set, and recorded."""

from __future__ import annotations

from accounts.domain import Actor
from accounts.models import User
from audit import services as audit
from audit.domain import Event
from governance import selectors
from governance.domain import Securable
from governance.models import Ownership
from governance.securables import target
from governance.services.authorization import authorize
from governance.services.tags import managing
from problems import Invalid


@audit.service
def set_owner(*, actor: Actor, securable: Securable, owner: User) -> Ownership:
    """Make `owner` the person who answers for the securable; refusals name them.

    Raises `AccessDenied`, or `Invalid` for someone of another organization.
    """
    authorize(actor, managing(securable), securable)
    if owner.organization_id != securable.organization_id:
        raise Invalid(
            f"{owner.email} does not belong to the organization of {securable.label}.",
            hint="Choose a person of the same organization.",
        )
    before = selectors.owners_of([securable]).get(securable.key)
    ownership, _ = Ownership.objects.update_or_create(
        securable_key=securable.key,
        defaults={"organization_id": securable.organization_id, "owner": owner},
    )
    audit.record(
        actor=actor,
        event=Event.OWNER_CHANGED,
        target=target(securable),
        before=before.email if before else None,
        after=owner.email,
    )
    return ownership
