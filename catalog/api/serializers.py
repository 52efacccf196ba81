"""What the catalog's endpoints say and accept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rest_framework import serializers

from catalog import cursors, lake
from catalog.domain import JobKind, JobState, Snapshot, UploadFormat, UploadMode
from catalog.models import Catalog, Job
from catalog.tables.history import Moment
from catalog.tables.layout import ColumnLayout
from problems import Invalid

BROKER_DOWN = (
    "The message broker is down. Nothing is lost: the job waits in the database and starts as"
    " soon as a worker looks."
)


class JobSerializer(serializers.Serializer[Job]):
    """One write to one catalog."""

    id = serializers.UUIDField()
    catalog = serializers.CharField(source="catalog.name")
    kind = serializers.ChoiceField(choices=[kind.value for kind in JobKind])
    state = serializers.ChoiceField(choices=[state.value for state in JobState])
    request = serializers.SerializerMethodField(help_text="What was asked for.")
    progress = serializers.JSONField()
    result = serializers.JSONField(allow_null=True)
    problem = serializers.JSONField(allow_null=True)
    attempts = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    notice = serializers.SerializerMethodField(help_text="What else there is to know.")

    def get_request(self, job: Job) -> dict[str, Any]:
        """Return the arguments that the caller gave; where they are staged is ours."""
        told = ("schema", "table", "format", "file_name", "size_bytes")
        return {name: job.arguments[name] for name in told if name in job.arguments}

    def get_notice(self, job: Job) -> str:
        """Return a sentence where the broker did not take the message, else nothing."""
        return BROKER_DOWN if job.is_published is False else ""


class CatalogSerializer(serializers.Serializer[Catalog]):
    """One catalog. `is_ready` once its lake can be read."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField()
    bucket = serializers.CharField(source="bucket.name", help_text="Where its files are.")
    is_encrypted = serializers.BooleanField(help_text="Whether its files are, each by its own key.")
    is_ready = serializers.SerializerMethodField()
    is_archived = serializers.SerializerMethodField()
    is_read_only = serializers.BooleanField(help_text="It follows a lake that others write.")
    created_at = serializers.DateTimeField()

    def get_is_ready(self, catalog: Catalog) -> bool:
        """Tell whether the lake's metadata is there."""
        ready: frozenset[str] = self.context["ready"]
        return catalog.metadata_schema in ready

    def get_is_archived(self, catalog: Catalog) -> bool:
        """Tell whether it is put away: read, and written no more."""
        return catalog.archived_at is not None


def shown_catalogs(found: Sequence[Catalog]) -> list[dict[str, Any]]:
    """Return what is said of each catalog."""
    ready = lake.ready([catalog.metadata_schema for catalog in found])
    return [dict(CatalogSerializer(one, context={"ready": ready}).data) for one in found]


class CatalogListSerializer(serializers.Serializer[Any]):
    """The catalogs of a workspace that the actor may browse."""

    results = CatalogSerializer(many=True)


class NewCatalogSerializer(serializers.Serializer[Any]):
    """What to create."""

    name = serializers.CharField(max_length=200)
    description = serializers.CharField(default="", allow_blank=True, max_length=2000)
    bucket = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=120,
        help_text="Name or id of a connected bucket; Upend's own storage where left out.",
    )
    is_encrypted = serializers.BooleanField(
        default=False, help_text="Encrypt each file; the keys stay in the catalog's metadata."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse other members: who names an endpoint must not believe that it was taken."""
        unknown = set(self.initial_data) - set(self.fields)
        if unknown:
            told = "A catalog has no such member: name, description, bucket, is_encrypted."
            raise serializers.ValidationError(dict.fromkeys(sorted(unknown), told))
        return attrs


class CatalogListingSerializer(serializers.Serializer[Any]):
    """Which catalogs to list."""

    archived = serializers.BooleanField(default=False, help_text="With those that were put away.")


class ChangedCatalogSerializer(serializers.Serializer[Any]):
    """What to change; what is left out stays."""

    name = serializers.CharField(required=False, max_length=200)
    description = serializers.CharField(required=False, allow_blank=True, max_length=2000)


class SnapshotSerializer(serializers.Serializer[Snapshot]):
    """A version of a lake."""

    snapshot_id = serializers.IntegerField()
    snapshot_time = serializers.DateTimeField()


class ChangeSerializer(serializers.Serializer[Any]):
    """A version of a lake with who made it and what changed."""

    snapshot_id = serializers.IntegerField()
    snapshot_time = serializers.DateTimeField()
    schema_version = serializers.IntegerField()
    author = serializers.CharField()
    message = serializers.CharField()
    words = serializers.CharField(help_text="What it changed; tables one may not see are unnamed.")
    tags = serializers.ListField(child=serializers.CharField())


def shown_moments(found: Sequence[Moment]) -> list[dict[str, Any]]:
    """Return snapshots as the API shows them."""
    return [
        dict(
            ChangeSerializer(
                {
                    "snapshot_id": one.change.snapshot_id,
                    "snapshot_time": one.change.snapshot_time,
                    "schema_version": one.change.schema_version,
                    "author": one.change.author,
                    "message": one.change.message,
                    "words": one.words,
                    "tags": one.tags,
                }
            ).data
        )
        for one in found
    ]


class ChangeListSerializer(serializers.Serializer[Any]):
    """A page of history, newest first; `next_before` is the `before` of the next page."""

    results = ChangeSerializer(many=True)
    next_before = serializers.IntegerField(allow_null=True)


class TableSerializer(serializers.Serializer[Any]):
    """One table at a snapshot. `record_count` is an estimate in lists."""

    table_uuid = serializers.UUIDField()
    schema_name = serializers.CharField()
    name = serializers.CharField()
    sql_name = serializers.CharField(help_text="catalog.schema.table")
    record_count = serializers.IntegerField()
    file_count = serializers.IntegerField()
    file_size_bytes = serializers.IntegerField()
    tags = serializers.ListField(child=serializers.CharField())
    may_query = serializers.BooleanField()


class TableListSerializer(serializers.Serializer[Any]):
    """The tables at a snapshot that the actor may browse."""

    snapshot = SnapshotSerializer()
    results = TableSerializer(many=True)
    next = serializers.CharField(
        allow_null=True, help_text="The address of the next page; null on the last."
    )


class ColumnSerializer(serializers.Serializer[ColumnLayout]):
    """One column that SQL sees."""

    name = serializers.CharField()
    type = serializers.CharField()
    nulls_allowed = serializers.BooleanField()
    default_value = serializers.CharField(
        source="default", allow_null=True, help_text="What new rows have that do not say."
    )
    comment = serializers.CharField(help_text="What DuckLake's metadata says of it.")


class TableDetailSerializer(TableSerializer):
    """One table at a snapshot, with its columns."""

    columns = ColumnSerializer(many=True)
    snapshot = SnapshotSerializer()
    schema_version = serializers.IntegerField(help_text="Grows with each change of definition.")
    comment = serializers.CharField(help_text="What DuckLake's metadata says of it.")
    partition_by = serializers.ListField(child=serializers.CharField())
    sort_by = serializers.ListField(child=serializers.CharField())


class AtSerializer(serializers.Serializer[Any]):
    """Which version to look at."""

    snapshot = serializers.IntegerField(
        required=False, default=None, min_value=0, help_text="The newest where left out."
    )


class TablePageSerializer(AtSerializer):
    """Which version to look at, and which page of its tables."""

    page_size = serializers.IntegerField(required=False, default=200, min_value=1, max_value=1000)
    search = serializers.CharField(
        required=False,
        default="",
        max_length=200,
        help_text="Words that a table's whole name must hold, in any order and case.",
    )
    cursor = serializers.CharField(
        required=False, default="", max_length=1000, help_text="As `next` has it."
    )

    def validate_cursor(self, value: str) -> tuple[str, str] | None:
        """Return the schema and name of the table before the page."""
        try:
            return cursors.read(value)
        except Invalid:
            message = "This is no cursor: take the address in `next`."
            raise serializers.ValidationError(message) from None


class PageSerializer(serializers.Serializer[Any]):
    """Which part of the history to list."""

    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=500)
    before = serializers.IntegerField(required=False, default=None, min_value=0)


class UploadSerializer(serializers.Serializer[Any]):
    """A file and the table it goes into."""

    file = serializers.FileField(allow_empty_file=True)
    table = serializers.CharField(max_length=200)
    schema = serializers.CharField(max_length=200, default="main")
    mode = serializers.ChoiceField(
        choices=[(mode.value, mode.name) for mode in UploadMode], default=UploadMode.CREATE.value
    )
    format = serializers.ChoiceField(
        choices=[form.value for form in UploadFormat],
        required=False,
        help_text="Told from the file's name where left out.",
    )
