"""The life of policies: drafted, reviewed, published, retired, rolled back. See ADR 0018."""

from governance.services.policies.drafts import (
    change_draft,
    change_policy,
    create_policy,
    delete_policy,
    discard_draft,
    draft_version,
)
from governance.services.policies.files import Change, apply_files, export_files
from governance.services.policies.publishing import (
    publish_policy,
    retire_expired,
    retire_policy,
    roll_back_policy,
)
from governance.services.policies.review import (
    approve_version,
    reject_version,
    set_requires_approval,
    submit_version,
)
from governance.services.policies.rows import requires_approval

__all__ = [
    "Change",
    "apply_files",
    "approve_version",
    "change_draft",
    "change_policy",
    "create_policy",
    "delete_policy",
    "discard_draft",
    "draft_version",
    "export_files",
    "publish_policy",
    "reject_version",
    "requires_approval",
    "retire_expired",
    "retire_policy",
    "roll_back_policy",
    "set_requires_approval",
    "submit_version",
]
