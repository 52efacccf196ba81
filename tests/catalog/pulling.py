"""What tests of connectors share: a catalog, who manages it, and the workers' part done here."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django.utils import timezone

from catalog import lake
from catalog import services as catalogs
from catalog.models import Catalog, Connector, ConnectorRun
from catalog.services import pulls

CATALOG = "/api/v1/workspaces/flight-ops/catalogs/flights"


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it is done."""


def die(*_: object, **__: object) -> Any:
    raise Killed


def begin(client: Client, **given: Any) -> Any:
    body = {"name": "orders", "target_table": "orders", "interval_seconds": 60} | given
    return client.post(f"{CATALOG}/connectors", body, content_type="application/json")


def work(catalog: Catalog) -> ConnectorRun:
    """Do what the workers would, until the run has ended."""
    connector = Connector.objects.get()
    Connector.objects.update(next_run_at=timezone.now())
    for _ in range(3):
        run = pulls.pull(connector.id)
        catalogs.run_jobs(catalog.id)
        if run is not None and run.finished_at:
            break
    return ConnectorRun.objects.latest("number")


def count(catalog: Catalog) -> int:
    table = lake.table(catalog, lake.latest_snapshot(catalog).snapshot_id, "main", "orders")
    return table.record_count if table else 0
