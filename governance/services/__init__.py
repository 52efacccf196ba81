"""Writes of governance: decisions that refuse, tags, owners; policies are in `policies`."""

from governance.selectors import decide, decide_many, tags_of
from governance.services.authorization import AccessDenied, authorize, denied
from governance.services.owners import set_owner
from governance.services.tags import assign_tag, remove_tag

__all__ = [
    "AccessDenied",
    "assign_tag",
    "authorize",
    "decide",
    "decide_many",
    "denied",
    "remove_tag",
    "set_owner",
    "tags_of",
]
