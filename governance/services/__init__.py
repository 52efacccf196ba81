"""Writes of governance: decisions that refuse, tags, owners; policies are in `policies`."""

from governance.selectors import Known, decide, decide_many, know, tags_of
from governance.services.authorization import AccessDenied, authorize, denied
from governance.services.details import describe
from governance.services.owners import set_owner
from governance.services.tag_definitions import (
    TagInUse,
    change_tag_definition,
    define_tag,
    delete_tag_definition,
)
from governance.services.tags import assign_tag, remove_tag

__all__ = [
    "AccessDenied",
    "Known",
    "TagInUse",
    "assign_tag",
    "authorize",
    "change_tag_definition",
    "decide",
    "decide_many",
    "define_tag",
    "delete_tag_definition",
    "denied",
    "describe",
    "know",
    "remove_tag",
    "set_owner",
    "tags_of",
]
