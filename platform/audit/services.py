"""The one call that writes the ledger: no record, no data."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from django.db import transaction

from accounts import statements
from accounts.domain import Actor
from audit.domain import Event
from audit.models import AuditRecord
from observability import metrics
from problems import Problem

P = ParamSpec("P")
R = TypeVar("R")

_depth: ContextVar[int] = ContextVar("service_depth", default=0)


class NotRecordable(RuntimeError):
    """`record` was called outside a transaction: the change and its record could part."""


@dataclass(frozen=True, slots=True)
class Target:
    """What an event was about. `workspace_id` and `organization_id` say who may read it."""

    kind: str
    id: str
    label: str
    organization_id: UUID | None
    workspace_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Denial:
    """Carried by a `Problem` that must be recorded although its transaction rolls back."""

    actor: Actor
    event: Event
    target: Target
    decision: dict[str, Any] | None
    after: dict[str, Any] | None = None


def record(
    *,
    actor: Actor,
    event: Event,
    target: Target,
    before: Any = None,
    after: Any = None,
    decision: dict[str, Any] | None = None,
) -> AuditRecord:
    """Append one record in the caller's transaction.

    Raises `NotRecordable` outside a transaction.
    """
    if not transaction.get_connection().in_atomic_block:
        message = f"{event} must be recorded inside the transaction that makes it true"
        raise NotRecordable(message)
    transaction.on_commit(metrics.AUDIT_RECORDS.labels(event.value).inc, robust=True)
    row = AuditRecord(
        organization_id=target.organization_id,
        workspace_id=target.workspace_id,
        event=event,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_label=actor.label,
        device_id=actor.device.id if actor.device else None,
        token_id=actor.token_id,
        target_kind=target.kind,
        target_id=target.id,
        target_label=target.label,
        before=before,
        after=after,
        decision=decision,
        request_id=actor.request_id,
        address=actor.address,
    )
    return statements.insert(row)


def service(function: Callable[P, R]) -> Callable[P, R]:
    """Make `function` atomic, and record the denial of a refused call after its rollback.

    Every service that writes wears this decorator. A `Problem` whose `denial` attribute is a
    `Denial` rolls the change back and still leaves its record.
    """

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        depth = _depth.get()
        token = _depth.set(depth + 1)
        try:
            with transaction.atomic():
                return function(*args, **kwargs)
        except Problem as problem:
            if depth == 0:  # an inner service's record would roll back with the outer one
                record_denial(problem)
            raise
        finally:
            _depth.reset(token)

    return wrapper


def record_denial(problem: Problem) -> None:
    """Record the denial a `problem` carries, in a transaction of its own and only once.

    The service decorator calls this; so does whatever shows a problem to somebody, because a
    read that was refused has no service around it.
    """
    denial: Denial | None = problem.denial
    if denial is None:
        return
    problem.denial = None
    with transaction.atomic():
        record(
            actor=denial.actor,
            event=denial.event,
            target=denial.target,
            after=denial.after,
            decision=denial.decision,
        )
