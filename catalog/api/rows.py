"""Endpoints of rows: sent, upserted or deleted by key, and what became of them."""

from __future__ import annotations

from functools import lru_cache
from typing import IO, Any, ClassVar

from django.conf import settings
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.bodies import valid
from api.permissions import RequiredScopes, actor_of
from api.waiting import LONGEST_SECONDS, place_to_wait, preferred_seconds
from catalog import services as catalogs
from catalog.api.naming import named_catalog
from catalog.ingest.acceptance import RowsRejected, Sent
from catalog.ingest.domain import (
    Acknowledgement,
    BatchState,
    IngestMode,
    OnError,
    RowFormat,
    SchemaMode,
)
from catalog.ingest.places import catalog_at
from catalog.ingest.tables import schema_mode
from catalog.models import IngestBatch
from catalog.selectors import find_batch, find_table, snapshot_of
from catalog.services.ingest import too_large
from problems import Invalid, Problem

PATIENCE_SECONDS = 10
"""How long an answer waits for the commit where the request does not say."""
MEDIA_TYPES = {
    "application/json": RowFormat.JSON,
    "application/jsonl": RowFormat.NDJSON,
    "application/vnd.apache.arrow.file": RowFormat.ARROW,
    "application/vnd.apache.arrow.stream": RowFormat.ARROW,
    "application/vnd.apache.parquet": RowFormat.PARQUET,
    "application/x-ndjson": RowFormat.NDJSON,
    "text/csv": RowFormat.CSV,
    "text/tab-separated-values": RowFormat.TSV,
}


class UnknownMediaType(Problem):
    """Rows came in a form that is not read."""

    code = "unknown-rows-format"
    status = 415
    title = "The form of the rows is not known"


class BodyParser(BaseParser):
    """Leaves a body as it is, whatever it says that it is."""

    media_type = "*/*"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,  # noqa: ARG002 - DRF's signature
        parser_context: Any = None,  # noqa: ARG002 - DRF's signature
    ) -> dict[str, bytes]:
        """Return the body. Raises `RowsTooLarge` before more than that is read."""
        body = stream.read(settings.INGEST_MAX_BYTES + 1)
        if len(body) > settings.INGEST_MAX_BYTES:
            raise too_large(len(body))
        return {"body": body}


class BatchSerializer(serializers.ModelSerializer[IngestBatch]):
    """What became of sent rows, for their sender."""

    table = serializers.SerializerMethodField(help_text="As it was named when the rows came.")
    mode = serializers.CharField()
    format = serializers.CharField()
    on_error = serializers.CharField()
    state = serializers.CharField(help_text="`waiting`, `taken`, `committed` or `rejected`.")
    rows = serializers.IntegerField(source="row_count", allow_null=True)
    rejected = serializers.IntegerField(source="rejected_count")
    problem = serializers.DictField(allow_null=True)

    class Meta:
        model = IngestBatch
        fields = (
            "id", "table", "mode", "format", "on_error", "state", "rows", "rejected", "errors",
            "is_checked", "snapshot_id", "problem", "accepted_at", "finished_at",
        )  # fmt: skip

    def get_table(self, batch: IngestBatch) -> str:
        """Return the table's name."""
        return f"{batch.catalog.name}.{batch.schema_name}.{batch.table_name}"


class OptionsSerializer(serializers.Serializer[Any]):
    """What the address of rows may say."""

    ack = serializers.ChoiceField(
        [a.value for a in Acknowledgement],
        default=Acknowledgement.COMMITTED.value,
        help_text="`committed` waits for the commit, `staged` answers once the rows are kept.",
    )
    on_error = serializers.ChoiceField(
        [o.value for o in OnError],
        default=OnError.REJECT.value,
        help_text="`reject` refuses all for one bad row, `quarantine` puts only those aside.",
    )


class KeyedSerializer(OptionsSerializer):
    """The same for rows that are found by their key."""

    key = serializers.CharField(help_text="The columns that name a row, with commas between.")


class SchemaModeSerializer(serializers.Serializer[Any]):
    """Whether rows may change a table's columns."""

    schema = serializers.ChoiceField([m.value for m in SchemaMode])


OPTIONS = {
    IngestMode.APPEND: OptionsSerializer(),
    IngestMode.DELETE: KeyedSerializer(),
    IngestMode.UPSERT: KeyedSerializer(),
}
SHOWN = BatchSerializer()
"""Made once: a serializer makes its fields anew whenever it is made."""
HEADERS = [
    OpenApiParameter(
        "Idempotency-Key",
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        description="The same key with the same rows writes them once, however often sent.",
    ),
    OpenApiParameter(
        "Prefer",
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        description=f"`wait=N` (RFC 7240): how long to wait for the commit, {PATIENCE_SECONDS}"
        f" seconds without it, {LONGEST_SECONDS} at most.",
    ),
]
ANSWERS = {
    200: OpenApiResponse(BatchSerializer, "Committed"),
    202: OpenApiResponse(BatchSerializer, "Kept durably, and committed later"),
}
REQUEST = dict.fromkeys(MEDIA_TYPES, OpenApiTypes.BINARY)


class RowsView(APIView):
    """Rows on their way into a table."""

    required_scopes: ClassVar[RequiredScopes] = {
        "DELETE": Scope.CATALOG_WRITE,
        "POST": Scope.CATALOG_WRITE,
        "PUT": Scope.CATALOG_WRITE,
    }
    parser_classes = (BodyParser,)

    @extend_schema(
        operation_id="append_rows",
        parameters=[OptionsSerializer, *HEADERS],
        request=REQUEST,
        responses=ANSWERS,
        tags=["rows"],
    )
    def post(self, request: Request, **place: str) -> Response:
        """Append rows, in the order in which they come."""
        return _taken_in(request, place, IngestMode.APPEND)

    @extend_schema(
        operation_id="upsert_rows",
        parameters=[KeyedSerializer, *HEADERS],
        request=REQUEST,
        responses=ANSWERS,
        tags=["rows"],
    )
    def put(self, request: Request, **place: str) -> Response:
        """Update the rows that have the same key, append the others; the last of a key wins.

        Columns that are not sent keep their values in rows that are there.
        """
        return _taken_in(request, place, IngestMode.UPSERT)

    @extend_schema(
        operation_id="delete_rows",
        parameters=[KeyedSerializer, *HEADERS],
        request=REQUEST,
        responses=ANSWERS,
        tags=["rows"],
    )
    def delete(self, request: Request, **place: str) -> Response:
        """Delete the rows that have one of the keys sent."""
        return _taken_in(request, place, IngestMode.DELETE)


class BatchView(APIView):
    """One batch of rows that was sent."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    @extend_schema(operation_id="get_batch", responses=BatchSerializer, tags=["rows"])
    def get(self, request: Request, workspace: str, catalog: str, batch: int) -> Response:
        """Return what became of a batch; only its sender sees it."""
        actor = actor_of(request)
        found = named_catalog(actor, workspace, catalog)
        return Response(BatchSerializer(find_batch(actor, found, batch)).data)


class SchemaModeView(APIView):
    """What was decided about rows sent to one table."""

    required_scopes: ClassVar[RequiredScopes] = {
        "GET": Scope.CATALOG_READ,
        "PUT": Scope.CATALOG_WRITE,
    }

    @extend_schema(operation_id="get_rows_settings", responses=SchemaModeSerializer, tags=["rows"])
    def get(self, request: Request, **place: str) -> Response:
        """Say whether rows may change the table's columns."""
        actor = actor_of(request)
        found = named_catalog(actor, place["workspace"], place["catalog"])
        newest = snapshot_of(found, None).snapshot_id
        table = find_table(actor, found, newest, place["schema"], place["table"])
        return Response({"schema": schema_mode(found, table.table_uuid)})

    @extend_schema(
        operation_id="change_rows_settings",
        request=SchemaModeSerializer,
        responses=SchemaModeSerializer,
        tags=["rows"],
    )
    def put(self, request: Request, **place: str) -> Response:
        """Let rows change the table's columns, or not: `evolve` or `strict`."""
        actor = actor_of(request)
        found = named_catalog(actor, place["workspace"], place["catalog"])
        mode = catalogs.change_schema_mode(
            actor=actor,
            catalog=found,
            schema=place["schema"],
            table=place["table"],
            mode=SchemaMode(valid(SchemaModeSerializer, request)["schema"]),
        )
        return Response({"schema": mode})


def _taken_in(request: Request, place: dict[str, str], mode: IngestMode) -> Response:
    """Take rows in and answer as soon as the request lets it."""
    actor = actor_of(request)
    asked = OPTIONS[mode].run_validation(request.query_params)
    announced = int(request.headers.get("Content-Length") or 0)
    if announced > settings.INGEST_MAX_BYTES:
        raise too_large(announced)  # before the body is read
    batch = catalogs.send_rows(
        actor=actor,
        catalog=catalog_at(actor, place["workspace"], place["catalog"])
        or named_catalog(actor, place["workspace"], place["catalog"]),
        schema=place["schema"],
        table=place["table"],
        sent=Sent(
            body=request.data.get("body", b"") if isinstance(request.data, dict) else b"",
            format=_format_of(request),
            mode=mode,
            on_error=OnError(asked["on_error"]),
            keys=_keys_of(asked.get("key", "")),
        ),
        key=request.headers.get("Idempotency-Key", "")[:120],
    )
    if asked["ack"] == Acknowledgement.COMMITTED:
        batch = _waited_for(request, batch)
    return _answer(request, place, batch)


def _waited_for(request: Request, batch: IngestBatch) -> IngestBatch:
    seconds = preferred_seconds(request, PATIENCE_SECONDS)
    with place_to_wait() as has_room:
        return catalogs.wait_until_finished(batch, seconds if has_room else 0)


def _answer(request: Request, place: dict[str, str], batch: IngestBatch) -> Response:
    if batch.state == BatchState.REJECTED:
        problem = batch.problem or {}
        raise RowsRejected(
            problem.get("detail", "The rows could not be written."),
            hint=problem.get("hint", ""),
            reason=problem.get("code", ""),
            rejected_count=batch.rejected_count,
            errors=batch.errors,
            batch=batch.id,
        )
    path = f"{_batches_of(place['workspace'], place['catalog'])}{batch.id}"
    headers = {"Location": request.build_absolute_uri(path), "Vary": "Prefer"}
    is_committed = batch.state == BatchState.COMMITTED
    code = status.HTTP_200_OK if is_committed else status.HTTP_202_ACCEPTED
    return Response(SHOWN.to_representation(batch), status=code, headers=headers)


@lru_cache(maxsize=1024)
def _batches_of(workspace: str, catalog: str) -> str:
    """Return where the batches of a catalog are, to put a number behind."""
    where = {"workspace": workspace, "catalog": catalog, "batch": 0}
    return reverse("api-batch", kwargs=where).removesuffix("0")


def _format_of(request: Request) -> RowFormat:
    """Return the form of the body. Raises `UnknownMediaType`."""
    media = (request.content_type or "").partition(";")[0].strip().lower()
    if media not in MEDIA_TYPES:
        raise UnknownMediaType(
            f"Rows cannot be read as {media[:80] or 'nothing'}.",
            hint=f"Send one of {', '.join(sorted(MEDIA_TYPES))} as Content-Type.",
        )
    return MEDIA_TYPES[media]


def _keys_of(text: str) -> tuple[str, ...]:
    keys = tuple(part.strip() for part in text.split(",") if part.strip())
    if text and not keys:
        raise Invalid("No column is named as the key.", hint="Send ?key=id or ?key=a,b.")
    return keys
