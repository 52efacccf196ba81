"""Answers orchestrators: is the process alive, and does everything it stands on answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import boto3
import redis
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from execution import gauges, isolation, presence

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = structlog.get_logger()
TIMEOUT_SECONDS = 2
LONG_WAIT_SECONDS = 60
"""A wait worth telling an operator: aging has moved such a query up twice."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing Upend stands on: whether it answers, what its absence stops, and what to do."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


@never_cache
@require_safe
def live(_: HttpRequest) -> HttpResponse:
    """Say that the process serves requests. Depends on nothing."""
    return JsonResponse({"status": "live"})


@never_cache
@require_safe
def ready(_: HttpRequest) -> HttpResponse:
    """Say what answers. 503 without PostgreSQL; without the others Upend is degraded, not down."""
    database, others = _database(), [_broker(), _bucket(), _workers()]
    if database.ok:
        others.append(_queue())
    if not database.ok:
        status = "unready"
    else:
        status = "ready" if all(check.ok for check in others) else "degraded"
    document = {
        "status": status,
        "checks": [asdict(check) for check in (database, *others)],
        "isolation": [reported.as_dict() for reported in isolation.reports()],
    }
    return JsonResponse(document, status=200 if database.ok else 503)


def _check(
    name: str, ask: Callable[[], object], failures: tuple[type[Exception], ...], absent: Check
) -> Check:
    try:
        ask()
    except failures as error:
        log.warning("health.failed", check=name, error=str(error))
        return absent
    return Check(name, True, "Answers.")


def _database() -> Check:
    absent = Check(
        "postgresql",
        False,
        "PostgreSQL does not answer; nothing works without it.",
        "Check that the server runs and that UPEND_DATABASE_URL names it.",
    )
    return _check("postgresql", _select_one, (DatabaseError,), absent)


def _select_one() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _broker() -> Check:
    absent = Check(
        "broker",
        False,
        "The broker does not answer; queries stay queued, and devices and logins must wait.",
        "Check that Valkey or Redis runs and that UPEND_BROKER_URL names it.",
    )
    client = redis.Redis.from_url(
        settings.BROKER_URL,
        socket_connect_timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
    )
    try:
        return _check("broker", client.ping, (redis.RedisError, OSError), absent)
    finally:
        client.close()


def _bucket() -> Check:
    absent = Check(
        "bucket",
        False,
        "The bucket does not answer; queries, uploads and results fail until it does.",
        "Check UPEND_S3_ENDPOINT, UPEND_S3_BUCKET and the access key.",
    )
    bucket = settings.S3["bucket"]
    return _check(
        "bucket",
        lambda: _s3().head_bucket(Bucket=bucket),
        (BotoCoreError, ClientError),
        absent,
    )


def _workers() -> Check:
    missing = presence.missing()
    if missing is None:
        return Check("workers", False, "Nobody knows without the broker.", "Restore the broker.")
    if not missing:
        return Check("workers", True, "All queues are served, and the sweep runs.")
    return Check(
        "workers",
        False,
        f"Not heard of for {presence.GONE_SECONDS} s: {', '.join(missing)}.",
        "Start a Celery worker for each queue named, and beat with an upkeep worker for the sweep.",
    )


def _queue() -> Check:
    try:
        seconds = gauges.oldest_wait_seconds()
    except DatabaseError:
        return Check("queue", False, "The queue cannot be read.", "See postgresql.")
    if seconds < LONG_WAIT_SECONDS:
        return Check("queue", True, "No query waits for long.")
    return Check(
        "queue",
        False,
        f"A query has waited for {seconds:.0f} s.",
        "See whether query workers live and have slots; heavy queries may hold them all.",
    )


@lru_cache(maxsize=1)
def _s3() -> S3Client:
    return boto3.client(
        "s3",
        endpoint_url=settings.S3["endpoint"],
        region_name=settings.S3["region"],
        aws_access_key_id=settings.S3["access_key_id"],
        aws_secret_access_key=settings.S3["secret_access_key"],
        config=Config(
            connect_timeout=TIMEOUT_SECONDS,
            read_timeout=TIMEOUT_SECONDS,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
        ),
    )
