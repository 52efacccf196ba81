"""Connectors as they are listed: their last runs, how old what they brought is, what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Prefetch, prefetch_related_objects

from catalog.connectors import kept
from catalog.connectors.sources import TITLES
from catalog.domain import ConnectorKind, ConnectorRunState
from catalog.models import Connector, ConnectorFile, ConnectorRun


@dataclass(frozen=True, slots=True)
class ConnectorLine:
    """One connector; `is_of` is the moment its table's rows are of, None before the first."""

    connector: Connector
    kind: str
    origin: str
    what: str
    last: ConnectorRun | None
    is_of: datetime | None

    @property
    def is_running(self) -> bool:
        """Tell whether a run has begun and not ended."""
        return self.last is not None and self.last.finished_at is None

    @property
    def has_failed(self) -> bool:
        """Tell whether its last run failed."""
        return self.last is not None and self.last.state == ConnectorRunState.FAILED


@dataclass(frozen=True, slots=True)
class Lately:
    """A connector, its last runs, newest first, and the files with which something is wrong."""

    connector: Connector
    runs: Sequence[ConnectorRun]
    files: Sequence[ConnectorFile]


def lately(connectors: Sequence[Connector], runs: int) -> list[Lately]:
    """Return what became of each lately, so many `runs` of it, by two statements for all."""
    prefetch_related_objects(
        connectors,
        Prefetch("runs", ConnectorRun.objects.all()[:runs], to_attr="last_runs"),
        Prefetch("files", kept.troubled_files(), to_attr="troubled"),
    )
    return [Lately(one, vars(one)["last_runs"], vars(one)["troubled"]) for one in connectors]


def lines(connectors: Sequence[Connector]) -> list[ConnectorLine]:
    """Return what a list says of each connector, by one statement for all of them."""
    newest = Prefetch("runs", ConnectorRun.objects.all()[:1], to_attr="newest_run")
    prefetch_related_objects(connectors, newest)
    return [_line(one, next(iter(vars(one)["newest_run"]), None)) for one in connectors]


def _line(connector: Connector, last: ConnectorRun | None) -> ConnectorLine:
    source = connector.shown_source
    if connector.bucket is None:
        origin = f"{source['host']}:{source['port']}/{source['dbname']}"
        what = f"{connector.source_schema}.{connector.source_table}"
    else:
        origin, what = f"{source['bucket']}: {source['path']}", connector.source_table
    return ConnectorLine(
        connector,
        TITLES[ConnectorKind(connector.kind)],
        origin,
        what,
        last,
        getattr(connector, "is_of", None),
    )
