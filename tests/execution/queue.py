"""A queue to look at: principals, machines and rows in the states that admission counts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from django.db import connection
from django.utils import timezone

from accounts import services as accounts
from accounts.domain import SYSTEM, Actor
from accounts.selectors import actor_for_user
from execution.machine import Machine
from execution.models import Query
from execution.services import admission
from execution.services.lifecycle import Claim
from execution.weight import SLOT_BYTES
from tests.cast import Cast
from tests.execution.rows import make_query
from workspaces.models import Workspace

R = TypeVar("R")

HEAVY: dict[str, Any] = {"is_heavy": True}


def machine(*, name: str = "one", slots: int = 4, shared_slots: int = 4) -> Machine:
    """Return a machine whose heavy queries share the memory of `shared_slots` slots."""
    return Machine(name, slots, (slots + shared_slots) * SLOT_BYTES)


def limit(workspace: Workspace, **limits: int) -> None:
    """Set limits of the workspace."""
    for name, value in limits.items():
        setattr(workspace, name, value)
    workspace.save()


def people(cast: Cast, count: int) -> list[Actor]:
    """Return that many more people of the cast's organization."""
    return [
        actor_for_user(
            accounts.create_user(
                actor=SYSTEM,
                organization=cast.organization,
                email=f"colleague-{number}@demo-air.example",
                password="a-duck-upends-to-feed",
            )
        )
        for number in range(count)
    ]


def queue(workspace: Workspace, actor: Actor, count: int = 1, **members: Any) -> list[Query]:
    """Queue queries, the first one the oldest."""
    return [make_query(workspace, actor, **members) for _ in range(count)]


def waited(query: Query, seconds: float) -> None:
    """Let a query have waited for so long."""
    Query.objects.filter(id=query.id).update(created_at=timezone.now() - timedelta(seconds=seconds))


def served(query: Query, seconds: float) -> None:
    """Let a query have started so long ago."""
    Query.objects.filter(id=query.id).update(started_at=timezone.now() - timedelta(seconds=seconds))


def take(where: Machine) -> Query | None:
    """Claim whose turn it is."""
    held = admission.admit(machine=where).held
    return held.query if held else None


def take_all(where: Machine) -> list[Query]:
    """Claim until nothing more is admissible."""
    return [held.query for held in iter(lambda: admission.admit(machine=where).held, None)]


def finish(*queries: Query) -> None:
    """End queries as a run ends them."""
    Query.objects.filter(id__in=[q.id for q in queries]).update(
        state="succeeded", finished_at=timezone.now()
    )


def at_once(count: int, do: Callable[[int], R]) -> list[R]:
    """Call `do` in that many threads that start together, each with a connection of its own."""
    results: list[R] = []
    errors: list[BaseException] = []
    barrier = threading.Barrier(count)

    def run(number: int) -> None:
        try:
            barrier.wait()
            results.append(do(number))
        except BaseException as error:  # noqa: BLE001 - raised again below, in the test's thread
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def claims_of(held: list[Claim | None]) -> list[Claim]:
    """Return the claims that were granted."""
    return [claim for claim in held if claim is not None]
