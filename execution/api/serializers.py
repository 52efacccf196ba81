"""The shapes of the API's JSON for plans, queries, results and saved queries."""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from typing import Any
from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.governance import ViewedAsSerializer
from execution import line
from execution.asked import MAX_PURPOSE_LENGTH
from execution.domain import Place, QueryState, RequestedPlace, ResultFormat
from execution.models import Query, SavedQuery
from execution.selectors import engine_error_of
from execution.services.results import PAGE_ROWS
from execution.weight import Priority

MAX_SQL_CHARACTERS = 200_000


def choices_of(names: type[StrEnum]) -> list[tuple[str, str]]:
    """Return an enumeration as choices, in the form that the schema knows it by."""
    return [(member.value, member.name) for member in names]


class QueryRequestSerializer(serializers.Serializer[Any]):
    """What to plan or run."""

    sql = serializers.CharField(
        max_length=MAX_SQL_CHARACTERS, trim_whitespace=False, help_text="One SELECT."
    )
    place = serializers.ChoiceField(choices=choices_of(RequestedPlace), default=RequestedPlace.AUTO)
    catalog = serializers.CharField(
        max_length=63,
        default="",
        allow_blank=True,
        help_text="Where unqualified names are looked up.",
    )
    snapshots = serializers.DictField(
        child=serializers.IntegerField(min_value=0),
        required=False,
        help_text="Catalog name to snapshot id; the newest where it is not named.",
    )
    purpose = serializers.CharField(
        max_length=MAX_PURPOSE_LENGTH,
        default="",
        allow_blank=True,
        help_text="What it is for, in one's own words; recorded, and policies may ask for it.",
    )

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the validated request as the services' keyword arguments."""
        given = self.validated_data
        return {
            "purpose": given["purpose"],
            "sql": given["sql"],
            "requested": RequestedPlace(given["place"]),
            "default_catalog": given["catalog"],
            "snapshots": given.get("snapshots"),
        }


class SubmissionSerializer(QueryRequestSerializer):
    """What to run."""

    handed_over_from = serializers.UUIDField(
        required=False,
        allow_null=True,
        default=None,
        help_text="One's own local run of the same text that outgrew its machine.",
    )
    priority = serializers.ChoiceField(
        choices=choices_of(Priority)[:2],
        required=False,
        help_text="How urgent it is. People's queries are interactive where nothing is said;"
        " those of service accounts go after both kinds, or are `scheduled`.",
    )
    cache = serializers.BooleanField(
        default=True,
        help_text="False has it run even where an equal query's rows are kept; so does the"
        " header Cache-Control: no-cache.",
    )

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the validated request as the services' keyword arguments."""
        given = self.validated_data
        return super().arguments | {
            "handed_over_from": given["handed_over_from"],
            "priority": Priority(given["priority"]) if "priority" in given else None,
        }


class ResultColumnSerializer(serializers.Serializer[Any]):
    """A column of a result."""

    name = serializers.CharField()
    type = serializers.CharField(help_text="As DuckDB spells it.")


class ReasonSerializer(serializers.Serializer[Any]):
    """One thing that placement weighed."""

    code = serializers.CharField()
    text = serializers.CharField()
    favours = serializers.ChoiceField(choices=choices_of(Place), allow_null=True)
    decisive = serializers.BooleanField()


class PlanRefusalSerializer(serializers.Serializer[Any]):
    """Why the place that was asked for is not allowed."""

    code = serializers.CharField()
    text = serializers.CharField()


class TableEstimateSerializer(serializers.Serializer[Any]):
    """What the query would read of one table."""

    table = serializers.CharField()
    snapshot = serializers.IntegerField(help_text="The one it is read at.")
    columns = serializers.ListField(child=serializers.CharField())
    scan_bytes = serializers.IntegerField()
    total_bytes = serializers.IntegerField()
    files = serializers.IntegerField()
    total_files = serializers.IntegerField()
    rows = serializers.IntegerField()
    filters = serializers.ListField(child=serializers.CharField())


class PredictionSerializer(serializers.Serializer[Any]):
    """How long a run would take, part by part; docs/explanation/placement.md has the formula."""

    seconds = serializers.FloatField()
    start_seconds = serializers.FloatField()
    fetch_seconds = serializers.FloatField()
    compute_seconds = serializers.FloatField()
    wait_seconds = serializers.FloatField(help_text="In the server's queue.")
    correction = serializers.FloatField(help_text="Learned from earlier runs.")
    model_seconds = serializers.FloatField(help_text="Start, fetch and compute, uncorrected.")


class PredictionsSerializer(serializers.Serializer[Any]):
    """One prediction for each place."""

    server = PredictionSerializer()
    local = PredictionSerializer(allow_null=True)


class ExtractOfferSerializer(serializers.Serializer[Any]):
    """What a person's machine would read in place of one governed table, or why it cannot."""

    table = serializers.CharField()
    outcome = serializers.ChoiceField(choices=["extract", "server"])
    state = serializers.ChoiceField(choices=["missing", "preparing", "ready", "unavailable"])
    size_bytes = serializers.IntegerField()
    seconds = serializers.FloatField(help_text="Before it can be read.")
    text = serializers.CharField(help_text="Such as `extract, 3.1 MB, ready`.")


class PlanSerializer(serializers.Serializer[Any]):
    """What a query would touch and cost, what governance says, where it would run and why."""

    viewed_as = ViewedAsSerializer(required=False, help_text="Whose plan it is, with `?as=`.")
    sql = serializers.CharField()
    place = serializers.ChoiceField(choices=choices_of(Place), allow_null=True)
    requested = serializers.ChoiceField(choices=choices_of(RequestedPlace))
    why = serializers.CharField()
    reasons = ReasonSerializer(many=True)
    refusal = PlanRefusalSerializer(allow_null=True)
    local_allowed = serializers.BooleanField()
    server_seconds = serializers.FloatField()
    local_seconds = serializers.FloatField(allow_null=True)
    times = serializers.CharField(help_text="Both: `server about 0.4 s, here about 0.9 s`.")
    predictions = PredictionsSerializer()
    scan_bytes = serializers.IntegerField(help_text="Compressed bytes to fetch from the bucket.")
    total_bytes = serializers.IntegerField()
    files = serializers.IntegerField()
    joins = serializers.IntegerField()
    memory_bytes = serializers.IntegerField()
    tables = TableEstimateSerializer(many=True)
    snapshots = serializers.DictField(child=serializers.IntegerField())
    decisions = serializers.ListField(child=serializers.DictField())
    local_decisions = serializers.ListField(child=serializers.DictField())
    materializations = serializers.ListField(
        child=serializers.DictField(),
        help_text="What of each table may be on the machine: its files, an extract, nothing; why.",
    )
    extracts = ExtractOfferSerializer(many=True)
    columns = ResultColumnSerializer(many=True)


@extend_schema_field(PlanSerializer)
class StoredPlanField(serializers.JSONField):
    """A plan as it was kept: shown unchanged, whatever version of Upend made it."""


class ProgressSerializer(serializers.Serializer[Any]):
    """How far a query is."""

    percent = serializers.FloatField(default=0.0)
    rows = serializers.IntegerField(default=0, help_text="Of the result so far.")
    bytes = serializers.IntegerField(default=0, help_text="Of the result so far.")
    bytes_read = serializers.IntegerField(default=0, help_text="Fetched from the bucket so far.")


class QueryLinksSerializer(serializers.Serializer[Any]):
    """Where the query's parts are; empty where there is no such part now."""

    result = serializers.CharField()
    manifest = serializers.CharField()
    cancel = serializers.CharField()


class QueueSerializer(serializers.Serializer[Any]):
    """Where a waiting query stands. An estimate: others may come that are more urgent."""

    position = serializers.IntegerField(help_text="1 is next.")
    ahead = serializers.IntegerField(help_text="Queries that should start before it.")
    expected_wait_seconds = serializers.FloatField(
        allow_null=True, help_text="By how long the last ones ran; null where none has."
    )


class CachedSerializer(serializers.Serializer[Any]):
    """Where the rows of a query come from that did not have to run."""

    vars()["from"] = serializers.UUIDField(help_text="The query that made them.")
    at = serializers.DateTimeField(help_text="When it had made them.")


class QuerySerializer(serializers.ModelSerializer[Query]):
    """One run of a plan."""

    state = serializers.ChoiceField(choices=choices_of(QueryState))
    place = serializers.ChoiceField(choices=choices_of(Place))
    plan = StoredPlanField()
    progress = ProgressSerializer()
    columns = ResultColumnSerializer(many=True)
    problem = serializers.DictField(allow_null=True, help_text="RFC 9457 members of a failure.")
    principal = serializers.SerializerMethodField(help_text="Who asked.")
    links = serializers.SerializerMethodField()
    notice = serializers.SerializerMethodField(help_text="For the person; empty if none.")
    engine_error = serializers.SerializerMethodField(
        help_text="What the engine said, redacted: one query at a time, to who manages its tables."
    )
    purpose = serializers.CharField(
        source="asked.purpose", default="", help_text="What it is for, as was said."
    )
    priority = serializers.SerializerMethodField(help_text="How urgent it is.")
    queue = serializers.SerializerMethodField(
        help_text="Where it stands while it waits for a worker; else null."
    )
    result = serializers.SerializerMethodField(
        help_text="With include=result: the Arrow file in base64, where it is small and was written"
        " a moment ago; else empty."
    )
    result_url = serializers.SerializerMethodField(
        help_text="With include=result_url: where in the bucket the Arrow file is, for a minute."
    )
    cached = serializers.SerializerMethodField(
        help_text="The query that made the rows, where it was another one; else null."
    )

    class Meta:
        model = Query
        fields = [
            "id",
            "state",
            "place",
            "sql",
            "principal",
            "purpose",
            "priority",
            "plan",
            "queue",
            "progress",
            "problem",
            "columns",
            "row_count",
            "result_bytes",
            "truncated",
            "cached",
            "bytes_read",
            "engine_seconds",
            "run_seconds",
            "handed_over_from",
            "created_at",
            "started_at",
            "finished_at",
            "result_expires_at",
            "attempts",
            "links",
            "result",
            "result_url",
            "notice",
            "engine_error",
        ]

    def get_principal(self, query: Query) -> str:
        """Return the label of who asked."""
        return str(query.user or query.service_account or "")

    @extend_schema_field(QueryLinksSerializer)
    def get_links(self, query: Query) -> dict[str, str]:
        """Return the addresses that make sense in the query's state."""
        state = QueryState(query.state)
        names = {
            "result": "query-result" if query.result_key else "",
            "manifest": "query-manifest" if state is QueryState.DELEGATED else "",
            "cancel": "" if state.is_final else "query-cancel",
        }
        arguments = {"workspace": query.workspace.slug, "query_id": query.id}
        return {
            link: reverse(name, kwargs=arguments) if name else "" for link, name in names.items()
        }

    @extend_schema_field(serializers.ChoiceField(choices=choices_of(Priority)))
    def get_priority(self, query: Query) -> str:
        """Return the name of its priority."""
        return Priority.of_rank(query.priority).value

    @extend_schema_field(QueueSerializer(allow_null=True))
    def get_queue(self, query: Query) -> dict[str, Any] | None:
        """Return where it stands, None where it does not wait."""
        turn = self._turns.get(query.id) if query.state == QueryState.QUEUED else None
        return turn.as_dict() if turn else None

    @cached_property
    def _turns(self) -> dict[UUID, line.Turn]:
        """Return where the queries stand: a page of them looks at the queue once."""
        shown = self.instance if self.parent is None else self.parent.instance
        page = [shown] if isinstance(shown, Query) else shown or []
        return line.turns(query.id for query in page if query.state == QueryState.QUEUED)

    def get_result(self, query: Query) -> str:  # noqa: ARG002 - DRF's signature
        """Return the rows that the request asked for and may have."""
        return str(self.context.get("result", ""))

    def get_result_url(self, query: Query) -> str:  # noqa: ARG002 - DRF's signature
        """Return the address that the request asked for and may have."""
        return str(self.context.get("result_url", ""))

    @extend_schema_field(CachedSerializer(allow_null=True))
    def get_cached(self, query: Query) -> dict[str, Any] | None:
        """Return where the rows come from, None for a query that ran."""
        if query.cached_from_id is None:
            return None
        return {"from": query.cached_from_id, "at": query.cached_at}

    def get_notice(self, query: Query) -> str:  # noqa: ARG002 - DRF's signature
        """Return what the submission had to say."""
        return str(self.context.get("notice", ""))

    def get_engine_error(self, query: Query) -> str:
        """Return the engine's words where the view names who asks; lists do not."""
        actor = self.context.get("actor")
        return engine_error_of(actor, query) if actor else ""


class ResultParametersSerializer(serializers.Serializer[Any]):
    """Which part of a result, and how."""

    format = serializers.ChoiceField(choices=choices_of(ResultFormat), default=ResultFormat.JSON)
    offset = serializers.IntegerField(min_value=0, max_value=2**62, default=0)
    limit = serializers.IntegerField(min_value=1, max_value=PAGE_ROWS, default=PAGE_ROWS)


class ResultPageSerializer(serializers.Serializer[Any]):
    """Some rows of a result."""

    columns = ResultColumnSerializer(many=True)
    rows = serializers.ListField(child=serializers.ListField())
    offset = serializers.IntegerField()
    next_offset = serializers.IntegerField(allow_null=True)
    row_count = serializers.IntegerField()
    truncated = serializers.BooleanField()


class ReceiptSerializer(serializers.Serializer[Any]):
    """What a device says about its run."""

    receipt = serializers.CharField(help_text="Compact JWS by the device's key.")


class SavedQuerySerializer(serializers.ModelSerializer[SavedQuery]):
    """A named query."""

    created_by = serializers.CharField(source="created_by.email", read_only=True, default="")

    class Meta:
        model = SavedQuery
        fields = ["id", "name", "description", "sql", "created_by", "created_at", "updated_at"]
        read_only_fields = ["id", "created_at", "updated_at"]
