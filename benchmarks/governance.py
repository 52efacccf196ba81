"""What a decision costs, and the first page of 10,000 tables, without and with 1,000 policies.

A decision is the whole of `governance.decide`, in this process: facts from the database, policies
from the process's memory, Cedar, obligations, the reason. Baseline of the page, in the same run:
the same page read from the lake without any decision. The floor of a decision is the round trip of
an empty statement.
`python -m benchmarks.governance --save` keeps the figures.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db import connection

from benchmarks import crowd
from benchmarks.stage import Stage, alternately, percentiles

TABLES = 10_000
POLICIES = 1_000
PAGE = 100
RUNS = 200


def main() -> None:
    """Measure, print, and save if asked to."""
    crowd.measured("governance", TABLES, measure)


def measure(here: Stage) -> dict[str, Any]:
    """Return the figures without and with policies, and what the policies make of them."""
    from accounts.selectors import actor_for_user
    from catalog import lake
    from catalog.models import Catalog

    catalog = Catalog.objects.select_related("bucket", "workspace__organization").get(name="big")
    newest = lake.latest_snapshot(catalog).snapshot_id
    tables = [t.securable(catalog.securable) for t in lake.tables(catalog, newest)]
    (user,) = crowd.people(here.workspace.organization, here.workspace, 1)
    actor = actor_for_user(user)
    bare = _measure(actor, catalog, newest, tables)
    crowd.publish(here.workspace, catalog, tables, POLICIES)
    governed = _measure(actor, catalog, newest, tables)
    return {
        "tables": TABLES,
        "page": PAGE,
        "without_policies": bare,
        f"with_{POLICIES}_policies": governed,
        "policies_over_none": {
            name: round(governed[name]["p50_ms"] / bare[name]["p50_ms"], 2)
            for name in ("decision", "decision_without_database", "page_with_decisions")
        },
    }


def _measure(actor: Any, catalog: Any, newest: int, tables: list[Any]) -> dict[str, Any]:
    from catalog import lake
    from catalog.visibility import visible_tables
    from governance import selectors as governance
    from governance import verdicts
    from governance.bundle import bundle_of
    from governance.domain import Action, DecisionContext, Request
    from workspaces.models import Membership

    server, table = DecisionContext(place="server"), tables[7]
    request = [Request(Action.TABLE_QUERY, table)]
    roles = {catalog.workspace_id: Membership.objects.roles_of(actor, catalog.workspace_id)}
    facts = replace(governance.facts_about(catalog.workspace, [table]), roles=roles)
    held = {catalog.workspace_id: bundle_of(catalog.workspace_id)}
    decision, facts_only, pure, empty = alternately(
        lambda: governance.decide(actor, Action.TABLE_QUERY, table, server),
        lambda: governance.know(actor, request),
        lambda: verdicts.answers(actor, request, server, facts, held),
        _empty_statement,
        runs=RUNS,
    )
    plain, page = alternately(
        lambda: lake.page(catalog, newest, limit=PAGE),
        lambda: visible_tables(actor, catalog, newest, limit=PAGE),
        runs=RUNS // 2,
    )
    whole, every = alternately(
        lambda: lake.tables(catalog, newest, with_columns=False),
        lambda: visible_tables(actor, catalog, newest),
        runs=10,
    )
    found = {
        "empty_statement": percentiles(empty),
        "facts": percentiles(facts_only),
        "decision": percentiles(decision),
        "decision_without_database": percentiles(pure),
        "page_without_decisions": percentiles(plain),
        "page_with_decisions": percentiles(page),
        "all_without_decisions": percentiles(whole),
        "all_with_decisions": percentiles(every),
    }
    ratio = found["page_with_decisions"]["p50_ms"] / found["page_without_decisions"]["p50_ms"]
    of_all = found["all_with_decisions"]["p50_ms"] / found["all_without_decisions"]["p50_ms"]
    return found | {"page_ratio": round(ratio, 2), "all_ratio": round(of_all, 2)}


def _empty_statement() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchall()


if __name__ == "__main__":
    main()
