"""Endpoints of buckets. Secrets go in and never come out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Actor, Scope
from api.permissions import RequiredScopes, actor_of
from catalog import services as catalogs
from catalog.buckets.report import OUTCOMES
from catalog.buckets.rules import BucketSettings
from catalog.domain import AddressingStyle, BucketKind, CredentialKind, Encryption
from catalog.models import Bucket, BucketKey
from catalog.selectors import find_bucket, visible_buckets
from catalog.services.buckets import settings_of
from catalog.storage import Credentials
from governance import securables
from governance.domain import Action
from governance.selectors import decide
from workspaces.selectors import find_workspace


class NewKeySerializer(serializers.Serializer[Any]):
    """An access key. What is secret of it is taken, sealed, and never shown again."""

    access_key_id = serializers.CharField(max_length=128)
    secret_access_key = serializers.CharField(
        max_length=500, write_only=True, trim_whitespace=False, style={"input_type": "password"}
    )
    session_token = serializers.CharField(
        max_length=4000, write_only=True, default="", allow_blank=True
    )
    expires_at = serializers.DateTimeField(
        default=None, allow_null=True, help_text="When its provider ends it, to be warned before."
    )


class BucketSettingsSerializer(serializers.Serializer[Any]):
    """Where a bucket is and how it is reached."""

    name = serializers.CharField(max_length=120)
    provider = serializers.CharField(max_length=20, default="", allow_blank=True)
    bucket_name = serializers.CharField(max_length=120)
    prefix = serializers.CharField(
        max_length=400,
        default="",
        allow_blank=True,
        trim_whitespace=False,
        help_text="Folders below which everything of Upend's is kept, such as `lake/`.",
    )
    endpoint = serializers.CharField(max_length=300)
    public_endpoint = serializers.CharField(
        max_length=300,
        default="",
        allow_blank=True,
        help_text="As devices and browsers reach it, where that differs.",
    )
    region = serializers.CharField(max_length=60)
    addressing_style = serializers.ChoiceField(
        choices=[s.value for s in AddressingStyle], default=AddressingStyle.PATH.value
    )
    credential_kind = serializers.ChoiceField(
        choices=[k.value for k in CredentialKind], default=CredentialKind.STATIC.value
    )
    role_arn = serializers.CharField(max_length=300, default="", allow_blank=True)
    sts_endpoint = serializers.CharField(max_length=300, default="", allow_blank=True)
    encryption = serializers.ChoiceField(
        choices=[e.value for e in Encryption if e],
        default="",
        allow_blank=True,
        help_text="What new objects are encrypted with; empty leaves it to the bucket.",
    )
    kms_key_id = serializers.CharField(max_length=300, default="", allow_blank=True)
    is_read_only = serializers.BooleanField(default=False)


class NewBucketSerializer(BucketSettingsSerializer):
    """A bucket to connect."""

    key = NewKeySerializer(default=None, allow_null=True)


class BucketKeySerializer(serializers.Serializer[BucketKey]):
    """A key of a bucket without what is secret of it."""

    id = serializers.UUIDField()
    access_key_id = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    retired_at = serializers.DateTimeField(allow_null=True)
    holds_until = serializers.DateTimeField(
        allow_null=True, help_text="When what a retired key signed is void and it is removed."
    )
    last_used_at = serializers.DateTimeField(allow_null=True)


class StepSerializer(serializers.Serializer[Any]):
    """One step of a connection check."""

    name = serializers.CharField()
    title = serializers.CharField()
    outcome = serializers.ChoiceField(choices=OUTCOMES)
    milliseconds = serializers.IntegerField()
    found = serializers.CharField()
    fix = serializers.CharField(help_text="What to do about it; empty where nothing is.")
    paste = serializers.CharField(help_text="The JSON to paste at the provider; mostly empty.")


class CheckSerializer(serializers.Serializer[Any]):
    """A connection check. `outcome` is the worst of any step."""

    outcome = serializers.ChoiceField(choices=OUTCOMES)
    checked_at = serializers.DateTimeField()
    steps = StepSerializer(many=True)


class BucketSerializer(BucketSettingsSerializer):
    """One bucket."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=[k.value for k in BucketKind])
    external_id = serializers.CharField(
        help_text="What Upend shows to a role: put it into the role's trust policy."
    )
    is_usable = serializers.BooleanField(
        help_text="Whether catalogs may be made here: the last check found no fault."
    )
    last_check = CheckSerializer(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    keys = serializers.SerializerMethodField(help_text="Shown to those who manage buckets.")

    def get_keys(self, bucket: Bucket) -> list[dict[str, Any]]:
        """Return the bucket's keys, the current one first, to those who manage it."""
        if not self.context["may_manage"]:
            return []
        return [dict(BucketKeySerializer(key).data) for key in bucket.keys.all()]


class BucketListSerializer(serializers.Serializer[Any]):
    """The buckets of a workspace."""

    results = BucketSerializer(many=True)


class BucketsView(APIView):
    """The buckets of a workspace."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ, "POST": Scope.ADMIN}

    @extend_schema(operation_id="list_buckets", responses=BucketListSerializer, tags=["buckets"])
    def get(self, request: Request, workspace: str) -> Response:
        """List the buckets of the workspace, by name."""
        actor = actor_of(request)
        found = visible_buckets(actor, find_workspace(actor, workspace))
        return Response({"results": [shown(actor, bucket) for bucket in found]})

    @extend_schema(
        operation_id="connect_bucket",
        request=NewBucketSerializer,
        responses={201: BucketSerializer},
        tags=["buckets"],
    )
    def post(self, request: Request, workspace: str) -> Response:
        """Connect a bucket; check it next."""
        actor = actor_of(request)
        given = NewBucketSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        members = dict(given.validated_data)
        key = members.pop("key")
        bucket = catalogs.connect_bucket(
            actor=actor,
            workspace=find_workspace(actor, workspace),
            settings=BucketSettings(**_typed(members)),
            key=Credentials(**key) if key else None,
        )
        return Response(shown(actor, bucket), status=status.HTTP_201_CREATED)


class BucketView(APIView):
    """One bucket."""

    required_scopes: ClassVar[RequiredScopes] = {
        "GET": Scope.CATALOG_READ,
        "PATCH": Scope.ADMIN,
        "DELETE": Scope.ADMIN,
    }

    @extend_schema(operation_id="get_bucket", responses=BucketSerializer, tags=["buckets"])
    def get(self, request: Request, workspace: str, bucket: str) -> Response:
        """Return one bucket, by name or id."""
        actor = actor_of(request)
        return Response(shown(actor, named_bucket(actor, workspace, bucket)))

    @extend_schema(
        operation_id="change_bucket",
        request=BucketSettingsSerializer,
        responses=BucketSerializer,
        tags=["buckets"],
    )
    def patch(self, request: Request, workspace: str, bucket: str) -> Response:
        """Change what is given if the bucket passes its check so; another name alone needs none.

        Where catalogs use the bucket, it stays the same place.
        """
        actor = actor_of(request)
        found = named_bucket(actor, workspace, bucket)
        given = BucketSettingsSerializer(data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        settings = replace(settings_of(found), **_typed(given.validated_data))
        changed = catalogs.change_checked_bucket(actor=actor, bucket=found, settings=settings)
        return Response(shown(actor, changed))

    @extend_schema(operation_id="disconnect_bucket", responses={204: None}, tags=["buckets"])
    def delete(self, request: Request, workspace: str, bucket: str) -> Response:
        """Take a bucket away with its keys; what is in it stays."""
        actor = actor_of(request)
        catalogs.disconnect_bucket(actor=actor, bucket=named_bucket(actor, workspace, bucket))
        return Response(status=status.HTTP_204_NO_CONTENT)


class BucketCheckView(APIView):
    """The connection of a bucket."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.ADMIN}

    @extend_schema(
        operation_id="check_bucket", request=None, responses=CheckSerializer, tags=["buckets"]
    )
    def post(self, request: Request, workspace: str, bucket: str) -> Response:
        """Check the connection step by step; it takes some seconds and leaves nothing behind."""
        actor = actor_of(request)
        found = named_bucket(actor, workspace, bucket)
        report = catalogs.check_bucket(actor=actor, bucket=found)
        return Response(CheckSerializer(report.as_dict()).data)


class BucketKeysView(APIView):
    """The keys of a bucket."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.ADMIN}

    @extend_schema(
        operation_id="rotate_bucket_key",
        request=NewKeySerializer,
        responses={201: CheckSerializer},
        tags=["buckets"],
    )
    def post(self, request: Request, workspace: str, bucket: str) -> Response:
        """Give the bucket a new key if it passes the check; the old one holds for a day more."""
        actor = actor_of(request)
        given = NewKeySerializer(data=request.data)
        given.is_valid(raise_exception=True)
        report = catalogs.rotate_bucket_key(
            actor=actor,
            bucket=named_bucket(actor, workspace, bucket),
            key=Credentials(**given.validated_data),
        )
        return Response(CheckSerializer(report.as_dict()).data, status=status.HTTP_201_CREATED)


def named_bucket(actor: Actor, workspace: str, bucket: str) -> Bucket:
    """Return the bucket of an address. Raises `UnknownWorkspace` or `UnknownBucket`."""
    return find_bucket(actor, find_workspace(actor, workspace), bucket)


def shown(actor: Actor, bucket: Bucket) -> dict[str, Any]:
    """Return a bucket as `actor` sees it."""
    place = securables.workspace(bucket.workspace)
    may_manage = decide(actor, Action.BUCKET_MANAGE, place).allowed
    return dict(BucketSerializer(bucket, context={"may_manage": may_manage}).data)


def _typed(members: dict[str, Any]) -> dict[str, Any]:
    kinds = {
        "addressing_style": AddressingStyle,
        "credential_kind": CredentialKind,
        "encryption": Encryption,
    }
    return {name: kinds[name](v) if name in kinds else v for name, v in members.items()}
