"""Connectors as pages list them: their last run, how old what they brought is, what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from catalog.connectors.sources import TITLES
from catalog.domain import ConnectorKind, ConnectorRunState
from catalog.models import Connector, ConnectorRun


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


def line(connector: Connector) -> ConnectorLine:
    """Return what a list says of a connector."""
    source = connector.shown_source
    if connector.bucket is None:
        origin = f"{source['host']}:{source['port']}/{source['dbname']}"
        what = f"{connector.source_schema}.{connector.source_table}"
    else:
        origin, what = f"{source['bucket']}: {source['path']}", connector.source_table
    runs = list(connector.runs.all()[:1])
    return ConnectorLine(
        connector,
        TITLES[ConnectorKind(connector.kind)],
        origin,
        what,
        runs[0] if runs else None,
        getattr(connector, "is_of", None),
    )
