"""A delegated query's manifest: signed, for one device, with a bearer that lives minutes."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import duckdb
from django.conf import settings
from django.utils import timezone

from accounts import keys
from accounts.domain import Actor
from accounts.models import Device
from accounts.selectors import digest_of
from audit import services as audit
from audit.domain import Event
from execution import ledger, slices
from execution.authorization import LOCAL, ON_DEVICE, authorize_again
from execution.domain import QueryState
from execution.models import Grant, GrantedFile, Query
from governance.domain import Decision
from problems import Conflict, Problem

MANIFEST_TYPE = "upend-manifest+jws"
MANIFEST_FORMAT = "upend.manifest/1"
MAX_FILES = 10_000
"""A manifest is one signed document: what lists more is larger than a laptop should check."""


class DeviceNotApproved(Problem):
    """The request does not come from the approved device that the query was planned for."""

    code = "device-not-approved"
    status = 403
    title = "This device may not run the query"


class NotDelegated(Conflict):
    """The query does not wait for a device, or not any more."""

    code = "not-delegated"
    title = "The query does not wait for a device"


class TooManyFiles(Problem):
    """A device would have to be handed more files than one manifest lists."""

    code = "too-many-files"
    status = 422
    title = "The query reads too many files for a device"


def check_file_count(count: int) -> None:
    """Raise `TooManyFiles` where a manifest would list more than `MAX_FILES`."""
    if count > MAX_FILES:
        raise TooManyFiles(
            f"It reads {count:,} files; a device is handed at most {MAX_FILES:,} at once.",
            hint="Run it on the server, or filter on a column that the table is partitioned by.",
            max_files=MAX_FILES,
        )


@audit.service
def issue_grant(*, actor: Actor, query: Query) -> str:
    """Return the signed manifest by which the actor's device runs a delegated query.

    Asking again makes a new bearer and ends the one before. It lives as long as is set, or as the
    least `@max_age` of the policies that permit it. Raises `DeviceNotApproved`,
    `NotDelegated`, `TooManyFiles`, and `AccessDenied` where the tables may no longer leave the
    server.
    """
    query = (
        Query.objects.select_for_update(of=("self",))
        .select_related("workspace__organization", "device")
        .get(id=query.id)
    )
    device = check_device(actor, query)
    extracts = set(query.extracts.values_list("table_key", flat=True))
    decisions = authorize_again(actor, query, ON_DEVICE, LOCAL, extracts=extracts)
    bearer = secrets.token_urlsafe(32)
    grant, _ = Grant.objects.update_or_create(
        query=query,
        defaults={
            "device": device,
            "bearer_digest": digest_of(bearer),
            "expires_at": timezone.now() + timedelta(seconds=_age(decisions)),
            "revoked_at": None,
        },
    )
    base_url = f"{settings.PUBLIC_URL}/files/{grant.id}/"
    built = slices.build(query.execution, locate=lambda file: f"{base_url}{file.ordinal}")
    check_file_count(len(built.files))
    files = _list_files(grant, built)
    claims = _claims(actor, query, grant)
    claims["upend"] |= {
        "slices": built.slices,
        "files": {
            "base_url": base_url,
            "bearer": bearer,
            "count": len(files),
            "total_bytes": sum(file.size_bytes for file in files),
        },
    }
    audit.record(
        actor=actor,
        event=Event.GRANT_ISSUED,
        target=ledger.grant(grant),
        after={
            "query": str(query.id),
            "files": len(files),
            "total_bytes": claims["upend"]["files"]["total_bytes"],
            "expires_at": grant.expires_at.isoformat(),
        },
    )
    return keys.sign(query.workspace.organization, claims, MANIFEST_TYPE)


def _age(decisions: Sequence[Decision]) -> int:
    """Return how many seconds a grant lives: as set, or less where a policy says so."""
    said = (decision.max_age_seconds for decision in decisions)
    return min([settings.GRANT_TTL_SECONDS, *(age for age in said if age is not None)])


def check_device(actor: Actor, query: Query) -> Device:
    """Return the approved device that a still delegated query was planned for; refuse others."""
    if query.state != QueryState.DELEGATED:
        raise NotDelegated(
            f"The query's place is {query.place} and it is {query.state}.",
            hint="Only a query planned for this device, and not yet ended, has a manifest.",
        )
    device = actor.device
    if (
        query.device is None
        or device is None
        or not device.is_approved
        or device.id != query.device.id
    ):
        raise DeviceNotApproved(
            "The manifest goes only to the approved device that the query was planned for.",
            hint="Enroll this machine with `upend login`, and ask an administrator to approve it.",
        )
    return query.device


def _list_files(grant: Grant, built: slices.Built) -> list[GrantedFile]:
    """Write down which files the grant stands for, in place of an earlier manifest's."""
    grant.files.all().delete()
    rows = [
        GrantedFile(
            grant=grant,
            ordinal=file.ordinal,
            catalog_id=file.catalog_id,
            table_key=file.table_key,
            bucket_name=file.bucket_name,
            key=file.key,
            size_bytes=file.size_bytes,
            extract_id=file.extract_id,
        )
        for file in built.files
    ]
    return GrantedFile.objects.bulk_create(rows, batch_size=2000)


def _claims(actor: Actor, query: Query, grant: Grant) -> dict[str, Any]:
    """Return all that a manifest says besides slices and files (see manifest.schema.json)."""
    workspace = query.workspace
    return {
        "iss": settings.PUBLIC_URL,
        "aud": grant.device.thumbprint,
        "sub": str(actor.id),
        "jti": str(grant.id),
        "iat": int(timezone.now().timestamp()),
        "exp": int(grant.expires_at.timestamp()),
        "upend": {
            "format": MANIFEST_FORMAT,
            "query": {
                "id": str(query.id),
                "sql": query.sql,
                "sql_sha256": hashlib.sha256(query.sql.encode()).hexdigest(),
                "search_path": query.execution["search_path"],
            },
            "engine": {"duckdb": duckdb.__version__},
            "limits": {
                "max_rows": workspace.max_result_rows,
                "max_bytes": workspace.max_result_bytes,
                "timeout_seconds": workspace.query_timeout_seconds,
            },
            "receipt_url": (
                f"{settings.PUBLIC_URL}/api/v1/workspaces/{workspace.slug}"
                f"/queries/{query.id}/receipt"
            ),
        },
    }
