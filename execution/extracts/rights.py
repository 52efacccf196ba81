"""Whether someone may read an extract now: by what they may see of its table at this moment."""

from __future__ import annotations

from dataclasses import replace

from accounts.domain import Actor
from execution import asked, footing, selectors
from execution.authorization import AS_EXTRACT, LOCAL
from execution.models import Extract, Query
from governance import selectors as governance
from governance.domain import Decision, Request


def decide(actor: Actor, extract: Extract, query: Query) -> tuple[Decision, ...]:
    """Return the decisions by which `actor` may read the extract for a query on their device.

    About the columns that the table had when the extract was written. Raises `NotFound` where its
    catalog was dropped.
    """
    key = extract.table_key
    known = selectors.table_securable(extract.workspace, key, extract.table_label)
    table = replace(known, columns=footing.of(key, extract.job["footing"]).columns)
    context = asked.context_of(query, key, LOCAL)
    return governance.decide_many(actor, [Request(action, table) for action in AS_EXTRACT], context)


def shows_the_same(decisions: tuple[Decision, ...], extract: Extract) -> bool:
    """Tell whether the extract is just what the decisions let their principal see."""
    return decisions[0].obligations.fingerprint == extract.fingerprint
