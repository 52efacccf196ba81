"""What changes of a table look like as JSON, and what they are as operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from rest_framework import serializers

from catalog.services.new_tables import NewTable
from catalog.tables import operations, types
from catalog.tables.layout import (
    ColumnLayout,
    InvalidChange,
    PartitionKey,
    SortKey,
    Transform,
)
from catalog.tables.literals import default_text
from catalog.tables.operations import Operation

Given = Mapping[str, Any]
Key = TypeVar("Key", PartitionKey, SortKey)
MAX_BUCKETS = 1024


class PartitionKeySerializer(serializers.Serializer[Any]):
    """One key by which new data is split into files."""

    column = serializers.CharField(max_length=200, trim_whitespace=False)
    transform = serializers.ChoiceField(
        choices=[one.value for one in Transform], default=Transform.IDENTITY.value
    )
    buckets = serializers.IntegerField(
        required=False, min_value=1, max_value=MAX_BUCKETS, help_text="For the transform bucket."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a bucket without a number, and a number without a bucket."""
        if ("buckets" in attrs) != (attrs["transform"] == Transform.BUCKET):
            raise serializers.ValidationError({"buckets": "Is for the transform bucket, always."})
        return attrs


class SortKeySerializer(serializers.Serializer[Any]):
    """One column by which new files are sorted."""

    column = serializers.CharField(max_length=200, trim_whitespace=False)
    descending = serializers.BooleanField(default=False)


class OperationSerializer(serializers.Serializer[Any]):
    """One change. Which members belong to which `op` is in docs/how-to/change-a-table.md."""

    op = serializers.ChoiceField(
        choices=[
            "add_column",
            "comment_column",
            "comment_table",
            "drop_column",
            "drop_table",
            "partition_by",
            "promote_column",
            "rename_column",
            "rename_table",
            "set_default",
            "set_nullable",
            "sort_by",
        ]
    )
    column = serializers.CharField(required=False, max_length=200, trim_whitespace=False)
    to = serializers.CharField(required=False, max_length=200, trim_whitespace=False)
    type = serializers.CharField(required=False, max_length=types.MAX_TEXT)
    default = serializers.JSONField(
        required=False, allow_null=True, help_text="A constant, as text or JSON."
    )
    nulls_allowed = serializers.BooleanField(required=False)
    comment = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    partition_by = PartitionKeySerializer(many=True, required=False)
    sort_by = SortKeySerializer(many=True, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse members that the operation has not, and those that it lacks."""
        must, may = MEMBERS[attrs["op"]]
        given = attrs.keys() - {"op"}
        if missing := must - given:
            told = f"{attrs['op']} needs this."
            raise serializers.ValidationError(dict.fromkeys(sorted(missing), told))
        if unknown := given - must - may:
            told = f"{attrs['op']} has no such member."
            raise serializers.ValidationError(dict.fromkeys(sorted(unknown), told))
        return attrs


class ChangesSerializer(serializers.Serializer[Any]):
    """What to change about a table, in order."""

    operations = OperationSerializer(many=True, allow_empty=False)
    dry_run = serializers.BooleanField(
        default=False, help_text="Only say what it would do and break."
    )
    message = serializers.CharField(
        default="", allow_blank=True, max_length=500, help_text="Why, for the table's history."
    )


class ChangeStepSerializer(serializers.Serializer[Any]):
    """One commit."""

    does = serializers.CharField()
    sql = serializers.CharField(help_text="The writer calls its catalog lake.")


class BreakSerializer(serializers.Serializer[Any]):
    """Something that the change breaks or takes away."""

    kind = serializers.CharField()
    name = serializers.CharField()
    detail = serializers.CharField()


class ChangePreviewSerializer(serializers.Serializer[Any]):
    """What a change would do."""

    schema_version = serializers.IntegerField()
    steps = ChangeStepSerializer(many=True)
    breaks = BreakSerializer(many=True)


class NewSchemaSerializer(serializers.Serializer[Any]):
    """A schema to make."""

    name = serializers.CharField(max_length=200)


class NewColumnSerializer(serializers.Serializer[Any]):
    """A column of a new table."""

    name = serializers.CharField(max_length=200, trim_whitespace=False)
    type = serializers.CharField(max_length=types.MAX_TEXT)
    nulls_allowed = serializers.BooleanField(default=True)
    default = serializers.JSONField(required=False, allow_null=True)
    comment = serializers.CharField(default="", allow_blank=True)


class NewTableSerializer(serializers.Serializer[Any]):
    """A table to make."""

    name = serializers.CharField(max_length=200)
    schema = serializers.CharField(max_length=200, default="main")
    columns = NewColumnSerializer(many=True, allow_empty=False)
    comment = serializers.CharField(default="", allow_blank=True, trim_whitespace=False)
    partition_by = PartitionKeySerializer(many=True, required=False)
    sort_by = SortKeySerializer(many=True, required=False)
    dry_run = serializers.BooleanField(default=False)


def operations_of(given: Sequence[Given]) -> tuple[Operation, ...]:
    """Return the operations that validated JSON asks for. Raises `InvalidChange`, `InvalidType`."""
    return tuple(BUILDERS[one["op"]](one) for one in given)


def new_table_of(given: Given) -> NewTable:
    """Return the table that validated JSON describes. Raises `InvalidChange`, `InvalidType`."""
    return NewTable(
        schema=given["schema"],
        name=given["name"],
        columns=tuple(_column(one) for one in given["columns"]),
        comment=given["comment"],
        partition_by=_partition_keys(given),
        sort_by=_sort_keys(given),
    )


def _column(given: Given) -> ColumnLayout:
    kind = types.canonical(given["type"])
    default = given.get("default")
    return ColumnLayout(
        name=given["name"],
        type=kind,
        nulls_allowed=given["nulls_allowed"],
        default=None if default is None else default_text(default, kind),
        comment=given["comment"],
    )


def _partition_keys(given: Given) -> tuple[PartitionKey, ...]:
    keys = tuple(
        PartitionKey(one["column"], Transform(one["transform"]), one.get("buckets", 0))
        for one in given.get("partition_by", ())
    )
    return _distinct(keys, "partition")


def _sort_keys(given: Given) -> tuple[SortKey, ...]:
    keys = tuple(SortKey(one["column"], one["descending"]) for one in given.get("sort_by", ()))
    return _distinct(keys, "sort")


def _distinct(keys: tuple[Key, ...], what: str) -> tuple[Key, ...]:
    seen = [(key.column.lower(), getattr(key, "transform", "")) for key in keys]
    if len(set(seen)) < len(seen):
        raise InvalidChange(f"Two of the {what} keys are the same.")
    return keys


def _add_column(given: Given) -> Operation:
    kind = types.canonical(given["type"])
    default = given.get("default")
    text = None if default is None else default_text(default, kind)
    return operations.AddColumn(given["column"], kind, text)


BUILDERS: Mapping[str, Callable[[Given], Operation]] = {
    "add_column": _add_column,
    "comment_column": lambda g: operations.CommentColumn(g["column"], g["comment"]),
    "comment_table": lambda g: operations.CommentTable(g["comment"]),
    "drop_column": lambda g: operations.DropColumn(g["column"]),
    "drop_table": lambda _: operations.DropTable(),
    "partition_by": lambda g: operations.PartitionBy(_partition_keys(g)),
    "promote_column": lambda g: operations.PromoteColumn(g["column"], types.canonical(g["type"])),
    "rename_column": lambda g: operations.RenameColumn(g["column"], g["to"]),
    "rename_table": lambda g: operations.RenameTable(g["to"]),
    "set_default": lambda g: operations.SetDefault(g["column"], g["default"]),
    "set_nullable": lambda g: operations.SetNullable(g["column"], g["nulls_allowed"]),
    "sort_by": lambda g: operations.SortBy(_sort_keys(g)),
}
MEMBERS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "add_column": (frozenset({"column", "type"}), frozenset({"default"})),
    "comment_column": (frozenset({"column", "comment"}), frozenset()),
    "comment_table": (frozenset({"comment"}), frozenset()),
    "drop_column": (frozenset({"column"}), frozenset()),
    "drop_table": (frozenset(), frozenset()),
    "partition_by": (frozenset({"partition_by"}), frozenset()),
    "promote_column": (frozenset({"column", "type"}), frozenset()),
    "rename_column": (frozenset({"column", "to"}), frozenset()),
    "rename_table": (frozenset({"to"}), frozenset()),
    "set_default": (frozenset({"column", "default"}), frozenset()),
    "set_nullable": (frozenset({"column", "nulls_allowed"}), frozenset()),
    "sort_by": (frozenset({"sort_by"}), frozenset()),
}
"""By operation, the members that it must have and those that it may have."""
