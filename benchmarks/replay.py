"""How long it takes to replay 100,000 recorded queries under a draft, and the impact of it.

50 people, 500 tables; the queries are rows in the database with plans as they are recorded.
Baseline, in the same run: reading those rows' plans alone. Done when: 60 s on two cores.
`python -m benchmarks.replay --save` keeps the figures.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from benchmarks import crowd
from benchmarks.stage import Stage

QUERIES = 100_000
PEOPLE = 50
TABLES = 500
POLICIES = 100
GOAL_SECONDS = 60


def main() -> None:
    """Measure, print, and save if asked to."""
    crowd.measured("replay", TABLES, measure)


def measure(here: Stage) -> dict[str, Any]:
    """Record, then replay under a draft of each kind."""
    from catalog import lake
    from catalog.models import Catalog
    from execution.models import Query
    from governance.impact import impact, within
    from governance.proposals import Proposal
    from governance.recorded import recordings
    from governance.services import replays

    catalog = Catalog.objects.select_related("bucket", "workspace__organization").get(name="big")
    newest = lake.latest_snapshot(catalog).snapshot_id
    tables = [t.securable(catalog.securable) for t in lake.tables(catalog, newest)]
    people = crowd.people(here.workspace.organization, here.workspace, PEOPLE)
    crowd.publish(here.workspace, catalog, tables, POLICIES)
    Query.objects.bulk_create(_queries(here.workspace, people, tables), batch_size=2000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE execution_query")
    started = time.perf_counter()
    since = timezone.now() - timedelta(days=7)
    read = sum(len(b) for b in recordings().batches(here.workspace, since, replays.BATCH))
    reading = time.perf_counter() - started
    found: dict[str, Any] = {"recorded": read, "reading_seconds": round(reading, 1)}
    for kind, policy, now, then in _drafts(here.workspace, catalog, tables):
        proposal = Proposal(policy, catalog.securable, now, then)
        started = time.perf_counter()
        replayed = replays.replayed(proposal, 7)
        seconds = time.perf_counter() - started
        started = time.perf_counter()
        changed = impact(
            workspace=here.workspace, securables=within(here.workspace, catalog.securable),
            now=now, then=then,
        )  # fmt: skip
        found[kind] = {
            "replay_seconds": round(seconds, 1),
            "over_reading": round(seconds / reading, 2),
            "over_the_goal": round(seconds / GOAL_SECONDS, 2),
            "different": {fate.value: count for fate, count in replayed.counts.items()},
            "impact_seconds": round(time.perf_counter() - started, 1),
            "impact": changed.counts,
        }
    return found


def _queries(workspace: Any, people: list[Any], tables: list[Any]) -> Iterator[Any]:
    """Return queries of one to three tables each, by turns of people."""
    from execution.models import Query

    now = timezone.now()
    for number in range(QUERIES):
        read = [tables[(number * step) % TABLES] for step in (1, 7, 13)[: 1 + number % 3]]
        decisions = [
            {
                "allowed": True,
                "action": "table.query",
                "securable": {"key": t.key, "label": t.label},
                "reason": "Analysts may browse and query what is in their workspace.",
                "determined_by": [
                    {"name": "analyst-queries", "version": 4, "summary": "Analysts may query."}
                ],
                "remedy": "", "masks": [], "row_filters": [], "hidden_columns": [],
            }
            for t in read
        ]  # fmt: skip
        yield Query(
            workspace=workspace,
            user_id=people[number % PEOPLE].id,
            sql="SELECT 1",
            canonical_sql="SELECT 1",
            place="server",
            state="succeeded",
            execution={},
            asked={"mfa": bool(number % 2), "purpose": "", "address": "10.0.0.1", "bytes": {}},
            plan={
                "sql": "SELECT 1", "decisions": decisions, "reasons": ["-" * 400],
                "tables": [
                    {"table": t.label, "columns": ["id", "email"], "scan_bytes": number}
                    for t in read
                ],
            },
            created_at=now - timedelta(seconds=number),
        )  # fmt: skip


def _drafts(workspace: Any, catalog: Any, tables: list[Any]) -> Iterator[tuple[Any, ...]]:
    """Return a draft of an access policy and one of a mask, with what holds without and with it."""
    from uuid import uuid4

    from governance.bundle import bundle_of
    from governance.domain import PolicyKind
    from governance.models import Policy
    from governance.rules import Published

    forbid = f'forbid (principal, action, resource == Table::"{tables[3].key}");'
    held = bundle_of(workspace.id)
    for kind, compiled in (
        (PolicyKind.ACCESS, crowd.access(forbid)),
        (PolicyKind.MASK, crowd.mask(catalog.securable, "email")),
    ):
        scope = catalog.securable
        draft = Published(uuid4(), "draft", kind, scope.key, scope.label, 1, "-", compiled)
        policy = Policy(workspace=workspace, name="draft", kind=kind, scope_key=scope.key)
        yield kind.value, policy, held, held.with_policy(draft)


if __name__ == "__main__":
    main()
