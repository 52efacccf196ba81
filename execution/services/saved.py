"""Named queries that a workspace shares."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from accounts.domain import Actor, PrincipalKind
from audit import services as audit
from audit.domain import Event
from execution import ledger
from execution.models import SavedQuery
from governance import securables
from governance.domain import Action
from governance.services import authorize
from problems import Conflict
from workspaces.models import Workspace


class NameTaken(Conflict):
    """Another saved query of the workspace bears the name."""

    code = "saved-query-name-taken"
    title = "The name is taken"


@audit.service
def save_query(
    *, actor: Actor, workspace: Workspace, name: str, sql: str, description: str = ""
) -> SavedQuery:
    """Keep `sql` under a new name. Raises `AccessDenied`, `NameTaken`."""
    authorize(actor, Action.WORKSPACE_QUERY, securables.workspace(workspace))
    is_person = actor.kind is PrincipalKind.USER
    saved = SavedQuery(
        workspace=workspace,
        name=name,
        description=description,
        sql=sql,
        created_by_id=actor.id if is_person else None,
    )
    _store(saved)
    _record(actor, saved, before=None)
    return saved


@audit.service
def change_saved_query(
    *,
    actor: Actor,
    saved: SavedQuery,
    name: str | None = None,
    sql: str | None = None,
    description: str | None = None,
) -> SavedQuery:
    """Change what is given. Raises `AccessDenied` for another's without `query.manage`."""
    _authorize_change(actor, saved)
    before = _facts(saved)
    saved.name = saved.name if name is None else name
    saved.sql = saved.sql if sql is None else sql
    saved.description = saved.description if description is None else description
    _store(saved)
    _record(actor, saved, before=before)
    return saved


@audit.service
def delete_saved_query(*, actor: Actor, saved: SavedQuery) -> None:
    """Remove a saved query. Raises `AccessDenied` for another's without `query.manage`."""
    _authorize_change(actor, saved)
    audit.record(
        actor=actor,
        event=Event.SAVED_QUERY_DELETED,
        target=ledger.saved_query(saved),
        before=_facts(saved),
    )
    saved.delete()


def _authorize_change(actor: Actor, saved: SavedQuery) -> None:
    own = saved.created_by_id is not None and saved.created_by_id == actor.id
    action = Action.WORKSPACE_QUERY if own else Action.QUERY_MANAGE
    authorize(actor, action, securables.workspace(saved.workspace))


def _store(saved: SavedQuery) -> None:
    try:
        with transaction.atomic():
            saved.save()
    except IntegrityError as error:
        raise NameTaken(
            f"The workspace has a saved query named {saved.name!r}.", hint="Choose another name."
        ) from error


def _facts(saved: SavedQuery) -> dict[str, str]:
    return {"name": saved.name, "description": saved.description, "sql": saved.sql}


def _record(actor: Actor, saved: SavedQuery, *, before: dict[str, str] | None) -> None:
    audit.record(
        actor=actor,
        event=Event.SAVED_QUERY_CHANGED,
        target=ledger.saved_query(saved),
        before=before,
        after=_facts(saved),
    )
