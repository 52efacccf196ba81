"""What a query was asked with, kept so that later decisions about it look at the same.

A worker, or a device that fetches a file, is not the person's request: without this, a policy
that wants a second factor or an office's network would refuse there what it allowed before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from accounts.domain import Actor
from execution.domain import Estimate
from execution.models import Query
from governance.domain import DecisionContext

MAX_PURPOSE_LENGTH = 200


def record(actor: Actor, estimate: Estimate, purpose: str) -> dict[str, Any]:
    """Return, JSON-ready, what decisions about a query that is being accepted looked at."""
    return {
        "purpose": purpose,
        "mfa": actor.mfa,
        "address": actor.address,
        "bytes": estimate.bytes_by_table,
    }


def as_then(actor: Actor, query: Query) -> Actor:
    """Return the query's principal with the second factor that they asked with.

    So with the address, where no request is at hand that has one now.
    """
    return replace(
        actor,
        mfa=bool(query.asked.get("mfa")),
        address=actor.address or str(query.asked.get("address", "")),
    )


def context_of(query: Query, table_key: str, context: DecisionContext) -> DecisionContext:
    """Return `context` with the query's purpose and what it reads of the table."""
    return replace(
        context,
        scan_bytes=int(query.asked.get("bytes", {}).get(table_key, 0)),
        purpose=str(query.asked.get("purpose", "")),
    )
