"""Bodies of connectors, as the API takes and shows them. Passwords go in and never come out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.connectors import overview
from catalog.connectors.overview import Lately
from catalog.domain import (
    ConnectorFileState,
    ConnectorKind,
    ConnectorMode,
    ConnectorRunState,
)
from catalog.models import Connector, ConnectorFile, ConnectorRun

KINDS = [(kind.value, kind.name) for kind in ConnectorKind]
MODES = [(mode.value, mode.name) for mode in ConnectorMode]
RUNS_SHOWN = 10


class ConnectorSourceSerializer(serializers.Serializer[Any]):
    """Where rows come from: a database, whose password is never shown, or a path in a bucket."""

    host = serializers.CharField(required=False)
    port = serializers.IntegerField(required=False)
    dbname = serializers.CharField(required=False)
    user = serializers.CharField(required=False)
    sslmode = serializers.CharField(required=False)
    bucket = serializers.CharField(required=False)
    path = serializers.CharField(required=False)


class ConnectorRunSerializer(serializers.Serializer[ConnectorRun]):
    """One pull."""

    number = serializers.IntegerField()
    state = serializers.ChoiceField(choices=[(s.value, s.name) for s in ConnectorRunState])
    rows = serializers.IntegerField(allow_null=True)
    upto = serializers.CharField(allow_null=True, help_text="The watermark it reached.")
    problem = serializers.CharField(
        help_text="Why it failed; of one that succeeded, which files were left out."
    )
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class ConnectorFileSerializer(serializers.Serializer[ConnectorFile]):
    """An object with which something is wrong."""

    key = serializers.CharField()
    state = serializers.ChoiceField(choices=[(s.value, s.name) for s in ConnectorFileState])
    problem = serializers.CharField()


class ConnectorSerializer(serializers.Serializer[Connector]):
    """A connector and its last runs."""

    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=KINDS)
    source = ConnectorSourceSerializer(source="shown_source")  # type: ignore[assignment]  # the stubs' Field.source
    source_schema = serializers.CharField()
    source_table = serializers.CharField()
    target_schema = serializers.CharField()
    target_table = serializers.CharField()
    mode = serializers.ChoiceField(choices=MODES)
    watermark_column = serializers.CharField()
    watermark = serializers.CharField(allow_null=True)
    interval_seconds = serializers.IntegerField()
    paused_at = serializers.DateTimeField(allow_null=True)
    next_run_at = serializers.DateTimeField()
    failures = serializers.IntegerField(help_text="In a row; each waits longer.")
    acts_for = serializers.SerializerMethodField(help_text="Whose rights it has.")
    runs = serializers.SerializerMethodField(help_text="The last ones, newest first.")
    files = serializers.SerializerMethodField(
        help_text="Those with which something is wrong; `:run` tries them once more."
    )

    def get_acts_for(self, found: Connector) -> str:
        """Return the address or name of who created it."""
        return str(found.user.email if found.user else found.service_account)

    @extend_schema_field(ConnectorRunSerializer(many=True))
    def get_runs(self, found: Connector) -> list[dict[str, Any]]:
        """Return the last runs."""
        return [dict(ConnectorRunSerializer(run).data) for run in self._lately(found).runs]

    @extend_schema_field(ConnectorFileSerializer(many=True))
    def get_files(self, found: Connector) -> list[dict[str, Any]]:
        """Return the files that are not as they should be."""
        return [dict(ConnectorFileSerializer(one).data) for one in self._lately(found).files]

    def _lately(self, found: Connector) -> Lately:
        became: Lately = self.context["lately"][found.id]
        return became


class ConnectorChangeSerializer(serializers.Serializer[Any]):
    """What of a connector can be changed."""

    dsn = serializers.CharField(max_length=2000, write_only=True, required=False)
    interval_seconds = serializers.IntegerField(required=False)
    is_paused = serializers.BooleanField(required=False)


class SourceColumnSerializer(serializers.Serializer[Any]):
    """A column of a source, with the type that the source gives it."""

    name = serializers.CharField()
    type = serializers.CharField()


class SourceLookSerializer(serializers.Serializer[Any]):
    """What a source holds."""

    columns = SourceColumnSerializer(many=True)
    files = serializers.IntegerField(allow_null=True, help_text="How many fit; null of databases.")
    size_bytes = serializers.IntegerField(allow_null=True)


class SourceSerializer(serializers.Serializer[Any]):
    """Where to pull from: a table of a database, or files of a bucket."""

    kind = serializers.ChoiceField(choices=KINDS, default=ConnectorKind.POSTGRESQL.value)
    dsn = serializers.CharField(
        max_length=2000,
        write_only=True,
        default="",
        allow_blank=True,
        help_text="Of a database: postgresql://user:password@host:5432/db?sslmode=verify-full",
    )
    bucket = serializers.CharField(
        default="", allow_blank=True, help_text="The name or id of a connected bucket."
    )
    path = serializers.CharField(
        max_length=900,
        default="",
        allow_blank=True,
        help_text="Of objects in it: exports/orders/*.parquet, or exports/ for all below.",
    )
    source_schema = serializers.CharField(max_length=63, default="", allow_blank=True)
    source_table = serializers.CharField(max_length=63, default="", allow_blank=True)
    mode = serializers.ChoiceField(choices=MODES, default=ConnectorMode.APPEND.value)
    watermark_column = serializers.CharField(
        max_length=63,
        default="",
        allow_blank=True,
        help_text="A column that only grows: an identity, or the time of the last change.",
    )


class NewConnectorSerializer(SourceSerializer):
    """What to pull, from where, into which table."""

    name = serializers.CharField(max_length=120)
    target_schema = serializers.CharField(max_length=63, default="main")
    target_table = serializers.CharField(max_length=63)
    interval_seconds = serializers.IntegerField(default=3600)


class ConnectorListSerializer(serializers.Serializer[Any]):
    """The connectors of a catalog."""

    results = ConnectorSerializer(many=True)


def bodies(connectors: Sequence[Connector]) -> list[dict[str, Any]]:
    """Return connectors as the API shows them, by no more statements for more of them."""
    became = {one.connector.id: one for one in overview.lately(connectors, RUNS_SHOWN)}
    context = {"lately": became}
    return [dict(ConnectorSerializer(one, context=context).data) for one in connectors]
