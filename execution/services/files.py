"""Every request for a file of a grant, answered by what is true now, not when it was issued."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from typing import ClassVar, Literal
from uuid import UUID

from django.utils import timezone

from accounts.domain import SYSTEM, Actor, DeviceStatus
from accounts.selectors import actor_for_user, digest_of
from audit import services as audit
from audit.domain import Event
from audit.services import Denial
from execution import asked, footing, ledger, selectors, stores
from execution.authorization import LOCAL, ON_DEVICE
from execution.domain import QueryState
from execution.extracts import rights
from execution.models import GrantedFile
from governance.domain import Decision, Request
from governance.selectors import decide_many
from problems import NotFound, Problem

LARGE = [f"grant__query__{name}" for name in ("plan", "execution", "columns", "receipt")]
"""Not read for a file: with many data files they are megabytes."""


class FileRefused(Problem):
    """The grant does not, or no longer, allow the file."""

    code: ClassVar[str] = "file-refused"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The file is not handed out"

    denial: Denial | None = None


class BearerRefused(FileRefused):
    """The request does not show the grant's own bearer."""

    code: ClassVar[str] = "file-bearer-refused"
    status: ClassVar[int] = 401
    title: ClassVar[str] = "The bearer is not that of the grant"


class GrantOver(FileRefused):
    """The grant has expired, was revoked, or its query has ended."""

    code: ClassVar[str] = "manifest-expired"
    title: ClassVar[str] = "The manifest is no longer valid"


@dataclass(frozen=True, slots=True)
class FileRequest:
    """What asks: which file of which grant, with what bearer, from where."""

    grant_id: UUID
    ordinal: int
    bearer: str
    method: Literal["GET", "HEAD"] = "GET"
    address: str = ""
    request_id: str = ""


@audit.service
def authorize_file(request: FileRequest) -> str:
    """Return a URL that reads one file for a minute, if all that allowed it still holds.

    The first time a file is handed out is recorded, and every refusal. Raises `NotFound`,
    `BearerRefused`, `GrantOver`, `FileRefused`.
    """
    rows = GrantedFile.objects.select_related(
        "grant__device__user", "grant__query__workspace", "extract__workspace", "catalog__bucket"
    )
    file = rows.defer(*LARGE).filter(grant_id=request.grant_id, ordinal=request.ordinal).first()
    if file is None:
        raise NotFound("There is no such file.")
    _check_bearer(file, request)
    person = actor_for_user(
        file.grant.device.user,
        device=file.grant.device.identity,
        address=request.address,
        request_id=request.request_id,
    )
    actor = asked.as_then(person, file.grant.query)
    _check_standing(file, actor)
    decision = _decide(file, actor) if file.extract is None else _decide_extract(file, actor)
    if file.first_fetched_at is None:
        _record_first(file, actor, decision)
    return stores.redirect(file, request.method)


def _check_bearer(file: GrantedFile, request: FileRequest) -> None:
    if hmac.compare_digest(file.grant.bearer_digest, digest_of(request.bearer)):
        return
    stranger = replace(SYSTEM, label="unknown bearer", address=request.address)
    raise _refused(
        BearerRefused(
            "The request shows no bearer of this grant.",
            hint="Run the query again: each manifest has a bearer of its own.",
        ),
        file,
        replace(stranger, request_id=request.request_id),
    )


def _check_standing(file: GrantedFile, actor: Actor) -> None:
    """Refuse when the grant, its query, the device or the person no longer stands."""
    grant = file.grant
    again = "Run the query again, or with the place `server`."
    if grant.revoked_at is not None or grant.query.state != QueryState.DELEGATED:
        problem: FileRefused = GrantOver("The query it belongs to has ended.", hint=again)
    elif grant.expires_at <= timezone.now():
        problem = GrantOver(f"It expired at {grant.expires_at:%H:%M:%S} UTC.", hint=again)
    elif grant.device.status != DeviceStatus.APPROVED:
        problem = FileRefused(
            f"The device {grant.device.name} is {grant.device.status}.",
            hint="Ask an administrator to approve it, or run with the place `server`.",
        )
    elif not grant.device.user.is_active:
        problem = FileRefused("The person's account is closed.")
    else:
        return
    raise _refused(problem, file, actor)


def _decide(file: GrantedFile, actor: Actor) -> Decision:
    """Ask governance whether the table may still leave the server for this person and device."""
    query = file.grant.query
    known = selectors.table_securable(query.workspace, file.table_key, file.table_key)
    stood = footing.of(file.table_key, query.footing)
    table = replace(known, columns=stood.columns)
    context = asked.context_of(query, file.table_key, LOCAL)
    decisions = decide_many(actor, [Request(action, table) for action in ON_DEVICE], context)
    for decision in decisions:
        if not decision.allowed or not decision.obligations.is_empty:
            problem = FileRefused(
                decision.reason, hint=decision.remedy, decision=decision.as_dict()
            )
            raise _refused(problem, file, actor, decision)
    return decisions[-1]


def _decide_extract(file: GrantedFile, actor: Actor) -> Decision:
    """Ask governance whether the extract is still what this person may read on this device."""
    assert file.extract is not None  # noqa: S101 - the caller has looked
    decisions = rights.decide(actor, file.extract, file.grant.query)
    for decision in decisions:
        if not decision.allowed:
            problem = FileRefused(
                decision.reason, hint=decision.remedy, decision=decision.as_dict()
            )
            raise _refused(problem, file, actor, decision)
    if not rights.shows_the_same(decisions, file.extract):
        problem = FileRefused(
            f"What you may see of {file.extract.table_label} has changed since it was written.",
            hint="Run the query again: it reads an extract of what you may see now.",
            decision=decisions[0].as_dict(),
        )
        raise _refused(problem, file, actor, decisions[0])
    return decisions[-1]


def _refused(
    problem: FileRefused, file: GrantedFile, actor: Actor, decision: Decision | None = None
) -> FileRefused:
    """Return the problem carrying its own record."""
    problem.denial = Denial(
        actor,
        Event.FILE_REFUSED,
        ledger.grant(file.grant),
        decision.as_dict() if decision else None,
        {"file": file.ordinal, "code": problem.code, "detail": problem.detail},
    )
    return problem


def _record_first(file: GrantedFile, actor: Actor, decision: Decision) -> None:
    rows = GrantedFile.objects.filter(pk=file.pk, first_fetched_at__isnull=True)
    if rows.update(first_fetched_at=timezone.now()):
        audit.record(
            actor=actor,
            event=Event.FILE_GRANTED,
            target=ledger.grant(file.grant),
            after={"file": file.ordinal, "key": file.key, "size_bytes": file.size_bytes},
            decision=decision.as_dict(),
        )
