"""The one call that writes the ledger: no record, no data."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import nullcontext
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
    _check_in_transaction(event)
    _count(event)
    row = _row(actor, event, target)
    row.before, row.after, row.decision = before, after, decision
    return statements.insert(row)


def record_with(
    change: str,
    given: Sequence[Any],
    *,
    key: str,
    answer: str,
    actor: Actor,
    event: Event,
    target: Target,
    after: dict[str, Any],
) -> tuple[Any, ...]:
    """Make something and append its record by one statement: both are there, or neither.

    `change` are common table expressions and `given` their parameters; the one named `made`
    returns the `id` of what was made, which the record has under `key`. Returns the one row of
    the query `answer` over them.
    """
    connection = transaction.get_connection()
    row = _row(actor, event, target)
    row.after = after
    with transaction.atomic() if connection.in_atomic_block else nullcontext():
        text = _with_record(change, key, answer)
        [found] = statements.rows(text, [*given, *statements.values(row)])
    _count(event)
    return found


def record_change(
    change: str,
    given: Sequence[Any],
    *,
    actor: Actor,
    event: Event,
    target: Target,
    after: dict[str, Any],
) -> bool:
    """Change one row and append the record of it by one statement; tell whether a row was changed.

    `change` is an UPDATE or INSERT that returns something, and `given` its parameters. Where it
    finds no row, nothing is recorded. Raises `NotRecordable` outside a transaction.
    """
    _check_in_transaction(event)
    row = _row(actor, event, target)
    row.after = after
    changed = statements.rows(_with_change(change), [*given, *statements.values(row)])
    if changed:
        _count(event)
    return bool(changed)


@functools.cache
def _with_change(change: str) -> str:
    recorded = statements.insertion_from(AuditRecord, "made", "after", "%s::jsonb")
    return f"WITH made AS ({change}), recorded AS ({recorded}) SELECT 1 FROM made"  # noqa: S608 - our own


@functools.cache
def _with_record(change: str, key: str, answer: str) -> str:
    after = f"%s::jsonb || jsonb_build_object('{key}', made.id)"
    recorded = statements.insertion_from(AuditRecord, "made", "after", after)
    return f"WITH {change}, recorded AS ({recorded}) {answer}"


def _check_in_transaction(event: Event) -> None:
    if not transaction.get_connection().in_atomic_block:
        message = f"{event} must be recorded inside the transaction that makes it true"
        raise NotRecordable(message)


def _count(event: Event) -> None:
    transaction.on_commit(metrics.AUDIT_RECORDS.labels(event.value).inc, robust=True)


def _row(actor: Actor, event: Event, target: Target) -> AuditRecord:
    return AuditRecord(
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
        request_id=actor.request_id,
        address=actor.address,
    )


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
