"""Looking at what somebody else may do: permitted, recorded, and never more than looking."""

from __future__ import annotations

from accounts.domain import Actor
from audit import services as audit
from audit.domain import Event
from governance import securables
from governance.domain import Action, Securable, SecurableKind
from governance.scopes import named_scope
from governance.selectors import decide
from governance.services.authorization import authorize
from problems import Invalid, NotFound
from workspaces.models import Workspace
from workspaces.selectors import Principal, principals_of


class UnknownPrincipal(NotFound):
    """Nobody of that name may act in the workspace."""

    code = "unknown-principal"
    title = "There is no such principal"


@audit.service
def who_may(*, actor: Actor, workspace: Workspace, table: str) -> tuple[Securable, list[Principal]]:
    """Return a table and everybody who may act in its workspace, to ask decisions about.

    For who may look as others, and for who publishes policies for the table: they answer for it.
    Each is without a device, a second factor and a token. Raises `UnknownScope` or `AccessDenied`.
    """
    found = named_scope(actor, workspace, table or "?")
    if not decide(actor, Action.POLICY_VIEW_AS, securables.workspace(workspace)).allowed:
        authorize(actor, Action.POLICY_PUBLISH, found)
    if found.kind is not SecurableKind.TABLE:
        raise Invalid(f"{found.label} is not a table.", hint="Write catalog.schema.table.")
    audit.record(
        actor=actor,
        event=Event.DECISION_VIEWED_AS,
        target=securables.target(found),
        after={"principal": "everybody", "looked_at": f"who may do what with {found.label}"},
    )
    return found, principals_of(workspace)


@audit.service
def view_as(*, actor: Actor, workspace: Workspace, principal: str, looked_at: str) -> Actor:
    """Return a principal of the workspace, by address, name or id, to ask decisions about.

    It is them without a device, without a second factor and without their token: nothing that is
    returned came from them. Ask and plan with it, never run, submit or write. `looked_at` says in
    the ledger what for. Raises `AccessDenied` or `UnknownPrincipal`.
    """
    authorize(actor, Action.POLICY_VIEW_AS, securables.workspace(workspace))
    wanted = principal.strip().lower()
    people = (one.actor for one in principals_of(workspace))
    found = next((p for p in people if wanted in {p.label.lower(), str(p.id)}), None)
    if found is None:
        raise UnknownPrincipal(
            f"Nobody called {principal[:200]!r} may act in {workspace.name}.",
            hint="Write the e-mail address of a person, or the name of a service account.",
        )
    audit.record(
        actor=actor,
        event=Event.DECISION_VIEWED_AS,
        target=securables.target(securables.workspace(workspace)),
        after={
            "principal": {"kind": found.kind, "id": str(found.id), "label": found.label},
            "looked_at": looked_at,
        },
    )
    return found
