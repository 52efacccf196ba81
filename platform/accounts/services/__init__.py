"""Every write to who acts, split by noun."""

from accounts.services.attributes import set_attributes, state_device
from accounts.services.devices import (
    approve_device,
    enroll_device,
    note_device_report,
    note_device_seen,
    revoke_device,
)
from accounts.services.organizations import (
    change_organization,
    create_organization,
    create_signing_key,
)
from accounts.services.principals import (
    add_to_group,
    create_group,
    create_service_account,
    create_user,
    disable_service_account,
)
from accounts.services.tokens import (
    IssuedToken,
    create_token,
    note_token_use,
    revoke_token,
)

__all__ = [
    "IssuedToken",
    "add_to_group",
    "approve_device",
    "change_organization",
    "create_group",
    "create_organization",
    "create_service_account",
    "create_signing_key",
    "create_token",
    "create_user",
    "disable_service_account",
    "enroll_device",
    "note_device_report",
    "note_device_seen",
    "note_token_use",
    "revoke_device",
    "revoke_token",
    "set_attributes",
    "state_device",
]
