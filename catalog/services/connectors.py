"""Connectors: registered, changed, run out of turn, deleted; `pulls` carries their runs out."""

from __future__ import annotations

import uuid
from typing import Any

import structlog
from celery import current_app
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import keys
from accounts.domain import Actor, PrincipalKind
from audit import services as audit
from audit.domain import Event
from catalog import lake
from catalog.domain import (
    ConnectorMode,
    UploadMode,
)
from catalog.models import Catalog, Connector
from catalog.names import check_schema_name, check_table_name
from catalog.selectors import find_table
from catalog.services import uploads
from catalog.storage.dsn import Dsn, checked_dsn
from catalog.writable import check_writable
from governance import securables
from governance import services as governance
from governance.domain import Action
from problems import Conflict, Invalid, NotFound

logger = structlog.get_logger(__name__)

MIN_INTERVAL_SECONDS = 60
MAX_INTERVAL_SECONDS = 30 * 24 * 3600
MAX_NAME = 63


class ConnectorNameTaken(Conflict):
    """The catalog has a connector of this name."""

    code = "connector-name-taken"
    title = "The name is taken"


class UnknownConnector(NotFound):
    """There is no such connector, or the actor may not know that there is."""

    code = "unknown-connector"
    title = "There is no such connector"


@audit.service
def create_connector(
    *,
    actor: Actor,
    catalog: Catalog,
    name: str,
    dsn: str,
    source_schema: str,
    source_table: str,
    target_schema: str,
    target_table: str,
    mode: ConnectorMode,
    watermark_column: str,
    interval_seconds: int,
) -> Connector:
    """Register a table to pull from; its first run begins at once.

    Raises `AccessDenied`, `EndpointRefused`, `Invalid`, `InvalidName`, `ConnectorNameTaken` or
    `CatalogReadOnly`.
    """
    governance.authorize(actor, Action.CATALOG_MANAGE, catalog.securable)
    check_writable(catalog)
    check_schema_name(target_schema)
    check_table_name(target_table)
    check_rights(actor, catalog, target_schema, target_table, mode)
    _check_source(name, source_schema, source_table, mode, watermark_column)
    _check_interval(interval_seconds)
    checked = checked_dsn(dsn)
    if Connector.objects.filter(catalog=catalog, name=name).exists():
        raise ConnectorNameTaken(f"{catalog.name} has a connector {name!r}.", hint="Rename it.")
    found = Connector(
        catalog=catalog,
        name=name,
        source=_shown(checked),
        source_schema=source_schema,
        source_table=source_table,
        target_schema=target_schema,
        target_table=target_table,
        mode=mode,
        watermark_column=watermark_column,
        interval_seconds=interval_seconds,
        user_id=actor.id if actor.kind is PrincipalKind.USER else None,
        service_account_id=actor.id if actor.kind is PrincipalKind.SERVICE_ACCOUNT else None,
    )
    found.sealed_dsn = keys.seal(dsn.encode(), found.binding)
    found.save(force_insert=True)
    record_on(actor, Event.CONNECTOR_CREATED, found, _facts(found))
    transaction.on_commit(lambda: publish(found.id))
    return found


@audit.service
def change_connector(
    *,
    actor: Actor,
    connector: Connector,
    interval_seconds: int | None = None,
    is_paused: bool | None = None,
    dsn: str = "",
) -> Connector:
    """Change how often it runs, pause or resume it, or give it another connection string.

    The source stays the same table of the same host and database. Raises as `create_connector`.
    """
    governance.authorize(actor, Action.CATALOG_MANAGE, connector.catalog.securable)
    if interval_seconds is not None:
        _check_interval(interval_seconds)
        connector.interval_seconds = interval_seconds
    if is_paused is not None:
        connector.paused_at = timezone.now() if is_paused else None
        connector.failures = 0
        connector.next_run_at = timezone.now()
    if dsn:
        checked = checked_dsn(dsn)
        if (checked.host, checked.dbname) != (
            connector.source["host"], connector.source["dbname"]
        ):  # fmt: skip
            raise Invalid(
                "A connector stays with its database: its watermark is that one's.",
                hint="Create another connector for another database.",
            )
        connector.source = _shown(checked)
        connector.sealed_dsn = keys.seal(dsn.encode(), connector.binding)
    connector.save()
    record_on(actor, Event.CONNECTOR_CHANGED, connector, _facts(connector))
    return connector


@audit.service
def delete_connector(*, actor: Actor, connector: Connector) -> None:
    """Delete a connector with its connection string; the table and its rows stay."""
    governance.authorize(actor, Action.CATALOG_MANAGE, connector.catalog.securable)
    record_on(actor, Event.CONNECTOR_DELETED, connector, _facts(connector))
    connector.delete()


@audit.service
def run_connector(*, actor: Actor, connector: Connector) -> Connector:
    """Have it run now, without waiting for its time."""
    governance.authorize(actor, Action.CATALOG_MANAGE, connector.catalog.securable)
    connector.next_run_at = timezone.now()
    connector.save(update_fields=["next_run_at"])
    record_on(actor, Event.CONNECTOR_CHANGED, connector, {"run": "now"})
    transaction.on_commit(lambda: publish(connector.id))
    return connector


def visible_connectors(actor: Actor, catalog: Catalog) -> list[Connector]:
    """Return the catalog's connectors, for who manages it."""
    if not governance.decide(actor, Action.CATALOG_MANAGE, catalog.securable).allowed:
        return []
    rows = Connector.objects.filter(catalog=catalog).select_related("user", "service_account")
    return list(rows.prefetch_related("runs"))


def find_connector(actor: Actor, catalog: Catalog, name: str) -> Connector:
    """Return one connector by its name. Raises `UnknownConnector`."""
    for found in visible_connectors(actor, catalog):
        if found.name == name:
            found.catalog = catalog
            return found
    raise UnknownConnector(f"{catalog.name} has no connector {name!r} that you manage.")


def publish(connector_id: uuid.UUID) -> bool:
    """Tell a worker to pull now; False where the broker is down and the next tick must do."""
    try:
        current_app.send_task("catalog.pull", args=[str(connector_id)], retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("broker_down", connector=str(connector_id), error=type(error).__name__)
        return False
    return True


def check_rights(
    actor: Actor, catalog: Catalog, schema: str, table: str, mode: ConnectorMode
) -> UploadMode:
    """Return whether a pull makes the table or adds to it. Raises `AccessDenied`."""
    newest = lake.latest_snapshot(catalog).snapshot_id
    if lake.table(catalog, newest, schema, table) is None:
        governance.authorize(actor, Action.TABLE_CREATE, catalog.securable)
        return UploadMode.CREATE
    found = find_table(actor, catalog, newest, schema, table).securable(catalog.securable)
    governance.authorize(actor, Action.TABLE_APPEND, found)
    if mode is ConnectorMode.REPLACE:
        governance.authorize(actor, Action.TABLE_MODIFY, found)
    return UploadMode.APPEND


def _check_source(
    name: str, schema: str, table: str, mode: ConnectorMode, watermark_column: str
) -> None:
    if not name.strip() or uploads.SAFE_NAME.search(name):
        raise Invalid("Give the connector a name.", hint="Of letters, digits, . _ - and spaces.")
    for what, value in (("schema", schema), ("table", table)):
        if not value or len(value.encode()) > MAX_NAME or not value.isprintable():
            raise Invalid(f"{value!r} is not the name of a {what}.")
    if mode is ConnectorMode.APPEND and not watermark_column:
        raise Invalid(
            "To add what is new, name a column that only grows.",
            hint="Such as an identity or updated_at; or choose the mode replace.",
        )
    if len(watermark_column.encode()) > MAX_NAME:
        raise Invalid(f"{watermark_column!r} is not the name of a column.")


def _check_interval(seconds: int) -> None:
    if not MIN_INTERVAL_SECONDS <= seconds <= MAX_INTERVAL_SECONDS:
        raise Invalid(
            f"A connector runs every {MIN_INTERVAL_SECONDS:,} to {MAX_INTERVAL_SECONDS:,} seconds."
        )


def _shown(dsn: Dsn) -> dict[str, Any]:
    return {
        "host": dsn.host,
        "port": dsn.port,
        "dbname": dsn.dbname,
        "user": dsn.user,
        "sslmode": dsn.sslmode,
    }


def _facts(connector: Connector) -> dict[str, Any]:
    return {
        "source": connector.source
        | {"table": f"{connector.source_schema}.{connector.source_table}"},
        "target": f"{connector.target_schema}.{connector.target_table}",
        "mode": connector.mode,
        "watermark_column": connector.watermark_column,
        "interval_seconds": connector.interval_seconds,
        "is_paused": connector.paused_at is not None,
    }


def record_on(actor: Actor, event: Event, connector: Connector, after: dict[str, Any]) -> None:
    """Record what happened to a connector, where its catalog is read about."""
    audit.record(
        actor=actor,
        event=event,
        target=securables.target(connector.catalog.securable),
        after={"connector": connector.name} | after,
    )
