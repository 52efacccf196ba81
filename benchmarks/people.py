"""Makes the people of a benchmark: analysts of its workspace, each with a token of their own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from benchmarks.stage import Stage


def analysts(here: Stage, names: list[str]) -> dict[str, str]:
    """Add an analyst of each name to the stage's workspace; return their tokens by name."""
    return {name: _analyst(here, name) for name in names}


def _analyst(here: Stage, name: str) -> str:
    from accounts import services as accounts
    from accounts.domain import SYSTEM, Scope
    from accounts.selectors import actor_for_user
    from workspaces import services as workspaces
    from workspaces.domain import WorkspaceRole

    person = accounts.create_user(
        actor=SYSTEM,
        organization=here.workspace.organization,
        email=f"{name}@benchmarks.example",
    )
    workspaces.grant_membership(
        actor=SYSTEM, workspace=here.workspace, principal=person, role=WorkspaceRole.ANALYST
    )
    token = accounts.create_token(
        actor=actor_for_user(person),
        owner=person,
        name="benchmarks",
        scopes=frozenset(Scope),
        expires_at=datetime.now(UTC) + timedelta(days=1),
    )
    return token.text
