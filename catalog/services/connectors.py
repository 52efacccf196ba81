"""Connectors: registered, changed, run out of turn, deleted; `pulls` carries their runs out."""

from __future__ import annotations

import uuid
from typing import Any

import structlog
from celery import current_app
from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import keys
from accounts.domain import Actor, PrincipalKind
from audit import services as audit
from audit.domain import Event
from catalog import lake
from catalog.connectors import kept
from catalog.connectors.sources import GivenSource, checked_source, shown_database
from catalog.domain import ConnectorKind, ConnectorMode, ConnectorRunState, UploadMode
from catalog.models import Bucket, Catalog, Connector
from catalog.names import check_schema_name, check_table_name
from catalog.selectors import find_table
from catalog.services import uploads
from catalog.writable import check_writable
from governance import securables
from governance import services as governance
from governance.domain import Action
from problems import Conflict, Invalid, NotFound

logger = structlog.get_logger(__name__)

MIN_INTERVAL_SECONDS = 60
MAX_INTERVAL_SECONDS = 30 * 24 * 3600


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
    source: GivenSource,
    target_schema: str,
    target_table: str,
    interval_seconds: int,
) -> Connector:
    """Register a source to pull from; its first run begins at once.

    Raises `AccessDenied`, `EndpointRefused`, `SourceRefused`, `Invalid`, `InvalidName`,
    `ConnectorNameTaken` or `CatalogReadOnly`.
    """
    authorize_source(actor, catalog, source.bucket)
    check_writable(catalog)
    check_schema_name(target_schema)
    check_table_name(target_table)
    check_rights(actor, catalog, target_schema, target_table, source.mode)
    _check_name(name)
    _check_interval(interval_seconds)
    checked = checked_source(source)
    if Connector.objects.filter(catalog=catalog, name=name).exists():
        raise ConnectorNameTaken(f"{catalog.name} has a connector {name!r}.", hint="Rename it.")
    found = Connector(
        catalog=catalog,
        name=name,
        kind=source.kind,
        source=checked.shown,
        bucket=source.bucket,
        source_schema=checked.given.schema,
        source_table=source.table,
        target_schema=target_schema,
        target_table=target_table,
        mode=source.mode,
        watermark_column=source.watermark_column,
        interval_seconds=interval_seconds,
        user_id=actor.id if actor.kind is PrincipalKind.USER else None,
        service_account_id=actor.id if actor.kind is PrincipalKind.SERVICE_ACCOUNT else None,
    )
    found.sealed_dsn = keys.seal(source.dsn.encode(), found.binding) if source.dsn else b""
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
        shown = _shown_again(connector, dsn)
        if any(shown[part] != connector.source[part] for part in ("host", "dbname")):
            raise Invalid(
                "A connector stays with its database: its watermark is that one's.",
                hint="Create another connector for another database.",
            )
        connector.source = shown
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
    """Have it run now, without waiting for its time; files that failed are tried once more."""
    governance.authorize(actor, Action.CATALOG_MANAGE, connector.catalog.securable)
    kept.try_again(connector)
    connector.next_run_at = timezone.now()
    connector.save(update_fields=["next_run_at"])
    record_on(actor, Event.CONNECTOR_CHANGED, connector, {"run": "now"})
    transaction.on_commit(lambda: publish(connector.id))
    return connector


def visible_connectors(actor: Actor, catalog: Catalog) -> list[Connector]:
    """Return the catalog's connectors, for who manages it.

    `is_of` of each is the moment that the rows of its table are of.
    """
    if not governance.decide(actor, Action.CATALOG_MANAGE, catalog.securable).allowed:
        return []
    good = Q(runs__state=ConnectorRunState.SUCCEEDED)
    rows = Connector.objects.filter(catalog=catalog).annotate(
        is_of=Max("runs__started_at", filter=good)
    )
    rows = rows.order_by("name")  # that of the model is none of a statement that groups
    return list(rows.select_related("bucket", "user", "service_account"))


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


def authorize_source(actor: Actor, catalog: Catalog, bucket: Bucket | None) -> None:
    """Raise `AccessDenied` unless `actor` manages the catalog, and the bucket that is read.

    What lies in a bucket is read there past all policies.
    """
    governance.authorize(actor, Action.CATALOG_MANAGE, catalog.securable)
    if bucket is not None:
        place = securables.workspace(catalog.workspace)
        governance.authorize(actor, Action.BUCKET_MANAGE, place)


def _shown_again(connector: Connector, dsn: str) -> dict[str, Any]:
    if connector.bucket_id is not None:
        raise Invalid(
            f"{connector.name} reads a bucket and has no connection string.",
            hint="The bucket's keys are changed on the page Buckets.",
        )
    return shown_database(ConnectorKind(connector.kind), dsn)


def _check_name(name: str) -> None:
    if not name.strip() or uploads.SAFE_NAME.search(name):
        raise Invalid("Give the connector a name.", hint="Of letters, digits, . _ - and spaces.")


def _check_interval(seconds: int) -> None:
    if not MIN_INTERVAL_SECONDS <= seconds <= MAX_INTERVAL_SECONDS:
        raise Invalid(
            f"A connector runs every {MIN_INTERVAL_SECONDS:,} to {MAX_INTERVAL_SECONDS:,} seconds."
        )


def _facts(connector: Connector) -> dict[str, Any]:
    return {
        "kind": connector.kind,
        "source": connector.shown_source
        | {"table": f"{connector.source_schema}.{connector.source_table}".strip(".")},
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
