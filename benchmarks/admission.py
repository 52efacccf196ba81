"""How long a slot takes to find its next query, and a person their place, in 10,000 that wait.

All rows are made in a transaction that is rolled back: the workers of the stage never see them.
Baseline, in the same run: an empty queue.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from benchmarks.stage import Stage, milliseconds, percentiles, save, stage

WAITING = 10_000
ENDED = 20_000
WORKSPACES = 10
PRINCIPALS = (1, 100, 1_000, 10_000)
RUNS = 60


def main() -> None:
    """Measure, print and save."""
    with stage() as here:
        figures: dict[str, Any] = {"empty": measure()}
        for principals in PRINCIPALS:
            with transaction.atomic():
                fill(here, principals)
                figures[f"{principals}_principals"] = measure()
                transaction.set_rollback(True)
        save("admission", figures)


def fill(here: Stage, principals: int) -> None:
    """Let 10,000 queries wait, and 20,000 have ended, of so many principals."""
    from accounts.models import User
    from execution.models import Query
    from workspaces.models import Workspace

    organization, places = here.workspace.organization_id, min(WORKSPACES, principals)
    User.objects.bulk_create(
        User(organization_id=organization, username=f"n{n}", email=f"n{n}@benchmarks.example")
        for n in range(principals)
    )
    Workspace.objects.bulk_create(
        Workspace(organization_id=organization, name=f"n{n}", slug=f"n{n}") for n in range(places)
    )
    people = list(User.objects.filter(username__startswith="n").values_list("id", flat=True))
    where = list(Workspace.objects.filter(slug__startswith="n").values_list("id", flat=True))
    now = timezone.now()

    def row(number: int, **state: Any) -> Query:
        who = number % principals
        is_heavy = number % 4 == 0
        return Query(
            workspace_id=where[who % places],
            user_id=people[who],
            sql="SELECT 1",
            canonical_sql="SELECT 1",
            plan={"sql": secrets.token_hex(400)},
            execution={},
            place="server",
            priority=number % 3,
            is_heavy=is_heavy,
            slot_bytes=is_heavy * 2**28,
            created_at=now - timedelta(milliseconds=number),
            **state,
        )

    def ended(number: int) -> Query:
        moment = now - timedelta(milliseconds=number)
        return row(number, state="succeeded", attempts=1, started_at=moment, finished_at=moment)

    Query.objects.bulk_create(map(ended, range(ENDED)), batch_size=1000)
    Query.objects.bulk_create(
        (row(number, state="queued") for number in range(WAITING)), batch_size=1000
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE execution_query")


def measure() -> dict[str, Any]:
    """Return how long a pick, a look at the line and the check of the limits take."""
    from execution.ledger import principal_of
    from execution.line import turns
    from execution.machine import Machine
    from execution.models import Query
    from execution.services import admission, limits

    machine = Machine("bench", 8, 8 * 2**30)
    last = Query.objects.filter(state="queued").order_by("created_at").first()
    figures = {"pick": percentiles(milliseconds(lambda: admission.pick(machine), runs=RUNS))}
    if last is not None:
        workspace, actor = last.workspace, principal_of(last)
        workspace.max_queued_per_principal = workspace.max_queued_queries = WAITING + 1
        ids = [last.id]
        figures["place_in_line"] = percentiles(milliseconds(lambda: turns(ids), runs=RUNS))
        figures["limits"] = percentiles(
            milliseconds(
                lambda: limits.look_in_turn(actor=actor, workspace=workspace, key=""), runs=RUNS
            )
        )
    return figures


if __name__ == "__main__":
    main()
