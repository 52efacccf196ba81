"""Which published policies name a securable, for those who are about to change it."""

from __future__ import annotations

from collections.abc import Collection

from governance.domain import VersionState
from governance.models import PolicyVersion
from workspaces.models import Workspace


def policies_naming(workspace: Workspace, keys: Collection[str]) -> list[tuple[str, str]]:
    """Return (policy's name, key) of each published policy that names one of the keys."""
    wanted = set(keys)
    published = PolicyVersion.objects.filter(
        policy__workspace=workspace, state=VersionState.PUBLISHED
    ).select_related("policy")
    return sorted(
        {
            (version.policy.name, reference["key"])
            for version in published
            for reference in [*version.references, {"key": version.policy.scope_key}]
            if reference["key"] in wanted
        }
    )
