"""Whether the text of a policy may hold: parsed, resolved, compared with what there is.

Nothing here decides or writes: text goes in, what it comes to and what is wrong comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from governance.checking.access import check_access
from governance.checking.documents import check_mask, check_row_filter
from governance.checking.outcome import Asked, Checked
from governance.domain import PolicyKind, Securable
from governance.findings import Finding
from workspaces.models import Workspace

__all__ = ["Checked", "Finding", "check"]


def check(
    *,
    workspace: Workspace,
    kind: PolicyKind,
    scope: Securable,
    text: str,
    tests: Sequence[Any] = (),  # noqa: ARG001 - run by `governance.policy_tests`
    name: str = "",
) -> Checked:
    """Return what a policy's text comes to in its scope, and everything that is wrong with it.

    `name` is the policy's own: what it says in another version is no conflict.
    """
    asked = Asked(workspace, scope, text, name)
    match PolicyKind(kind):
        case PolicyKind.ACCESS:
            return check_access(asked)
        case PolicyKind.MASK:
            return check_mask(asked)
        case PolicyKind.ROW_FILTER:
            return check_row_filter(asked)
