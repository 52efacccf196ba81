"""The roles a principal may hold in a workspace."""

from enum import StrEnum


class WorkspaceRole(StrEnum):
    """What a principal is to one workspace; what each may do is Cedar text in governance."""

    ANALYST = "analyst"
    AUDITOR = "auditor"
    OWNER = "owner"
    STEWARD = "steward"
