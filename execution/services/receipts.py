"""What a device says about its run: believed because it is signed, and never more than measures."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django.utils import timezone
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from accounts import services as accounts
from accounts.domain import Actor
from accounts.keys import REGISTRY
from accounts.models import Device
from audit import services as audit
from audit.domain import Event
from execution import ledger
from execution.domain import QueryState
from execution.models import Grant, Query
from execution.services import corrections, notices, tallies
from execution.services.reports import machine_of
from execution.services.sweep import ReceiptMissing
from problems import Conflict, Invalid, Problem

RECEIPT_TYPE = "upend-receipt+jwt"
LONGEST = 200_000
OUTCOMES = {
    "cancelled": QueryState.CANCELLED,
    "failed": QueryState.FAILED,
    "succeeded": QueryState.SUCCEEDED,
}
MAX_COLUMNS = 5000
MAX_TEXT = 1000


class ReceiptRefused(Invalid):
    """The receipt is not one that the query's device made about the query."""

    code = "receipt-refused"
    title = "The receipt was refused"


class ReceiptConflict(Conflict):
    """The query has ended, and another way than this receipt says."""

    code = "receipt-conflict"
    title = "The query has already ended"


class LocalRunFailed(Problem):
    """The run on the person's own machine did not end well; only its code left the machine."""

    code: ClassVar[str] = "local-run-failed"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The run on the device failed"


@audit.service
def accept_receipt(*, actor: Actor, query: Query, text: str) -> Query:
    """End a delegated query by its device's signed word; the same receipt again changes nothing.

    `text` is a compact JWS. A receipt that comes after the query was given up is still accepted.
    Raises `ReceiptRefused`, `ReceiptConflict`.
    """
    rows = Query.objects.select_for_update(of=("self",)).select_related("workspace", "device")
    query = rows.get(id=query.id)
    if query.device is None:
        raise ReceiptRefused("The query was not delegated to a device.")
    claims = _verified(text, query.device)
    if claims.get("query_id") != str(query.id):
        raise ReceiptRefused("The receipt is about another query.")
    if query.receipt is not None and query.receipt["jws"] == text:
        return query
    if query.state != QueryState.DELEGATED and not _was_given_up(query):
        raise ReceiptConflict(f"The query is {query.state}; the receipt came too late.")
    _apply(query, claims, text)
    if query.state == QueryState.SUCCEEDED and query.run_seconds and not claims.get("truncated"):
        corrections.learn(query, seconds=query.run_seconds)
    accounts.note_device_report(query.device, **machine_of(claims))
    Grant.objects.filter(query=query, revoked_at__isnull=True).update(revoked_at=timezone.now())
    audit.record(
        actor=actor,
        event=Event.RECEIPT_ACCEPTED,
        target=ledger.query(query),
        after={key: value for key, value in claims.items() if key != "columns"},
    )
    notices.tell(query.id, QueryState(query.state))
    tallies.ended(query, QueryState(query.state), LocalRunFailed.code)
    return query


def _verified(text: str, device: Device) -> dict[str, Any]:
    """Return the claims that the device's own key signed."""
    if len(text) > LONGEST:
        raise ReceiptRefused("The receipt is too long.")
    key = OKPKey.import_key(
        {name: str(device.public_jwk.get(name, "")) for name in ("kty", "crv", "x")}
    )
    try:
        verified = jws.deserialize_compact(text, key, registry=REGISTRY)
        claims = json.loads(verified.payload)
    except (JoseError, ValueError) as error:
        raise ReceiptRefused(
            "It is malformed, or its signature is not that of the query's device."
        ) from error
    if verified.headers().get("typ") != RECEIPT_TYPE or not isinstance(claims, dict):
        raise ReceiptRefused(f"It is not signed as a receipt (typ {RECEIPT_TYPE}).")
    return claims


def _was_given_up(query: Query) -> bool:
    return query.state == QueryState.FAILED and (query.problem or {}).get("code") == (
        ReceiptMissing.code
    )


def _apply(query: Query, claims: dict[str, Any], text: str) -> None:
    """Write the receipt's measures into the row."""
    outcome = OUTCOMES.get(str(claims.get("outcome")))
    if outcome is None:
        raise ReceiptRefused(f"Its outcome is none of {', '.join(OUTCOMES)}.")
    query.state = outcome
    query.row_count = _count(claims, "row_count")
    query.bytes_read = _count(claims, "bytes_read")
    query.engine_seconds = _seconds(claims, "engine_seconds")
    query.run_seconds = _seconds(claims, "run_seconds") or query.engine_seconds
    query.columns = _columns(claims)
    query.problem = _problem(claims) if outcome is not QueryState.SUCCEEDED else None
    query.receipt = {"jws": text, "claims": claims}
    query.finished_at = timezone.now()
    query.save(
        update_fields=[
            "state",
            "row_count",
            "bytes_read",
            "engine_seconds",
            "run_seconds",
            "columns",
            "problem",
            "receipt",
            "finished_at",
        ]
    )


def _count(claims: dict[str, Any], name: str) -> int | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ReceiptRefused(f"Its {name} is not a count.")
    return value


def _seconds(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:  # noqa: PLR2004 - 30 years
        raise ReceiptRefused(f"Its {name} is not a duration.")
    return float(value)


def _columns(claims: dict[str, Any]) -> list[dict[str, str]]:
    given = claims.get("columns") or []
    if not isinstance(given, list) or len(given) > MAX_COLUMNS:
        raise ReceiptRefused("Its columns are not a list of reasonable length.")
    try:
        return [
            {"name": str(c["name"])[:MAX_TEXT], "type": str(c["type"])[:MAX_TEXT]} for c in given
        ]
    except (KeyError, TypeError) as error:
        raise ReceiptRefused("Each of its columns needs a name and a type.") from error


def _problem(claims: dict[str, Any]) -> dict[str, Any]:
    """Return the problem document of a run that failed elsewhere; only its code came."""
    given = claims.get("problem")
    code = str(given.get("code", ""))[:80] if isinstance(given, dict) else ""
    return LocalRunFailed(
        f"The device reported: {code or claims.get('outcome')}.",
        hint="The device showed the details when it ran; or run it with the place `server`.",
        reason=code,
    ).as_dict()
