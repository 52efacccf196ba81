"""`/policies:export` and `/policies:apply`: all policies of a workspace as files in git."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.bodies import valid
from api.permissions import RequiredScopes, actor_of
from governance import policy_files
from governance.api.policies import TAGS
from governance.services import policies
from workspaces.selectors import find_workspace

YAML = "application/yaml"
DEEDS = [(deed, deed) for deed in ("change", "create", "retire", "unchanged")]
OUTCOMES = [(outcome, outcome) for outcome in ("", "in_review", "published", "retired")]


class PolicyFilesRequestSerializer(serializers.Serializer[Any]):
    """Files to apply."""

    files = serializers.CharField(
        max_length=policy_files.MAX_BYTES,
        allow_blank=True,
        trim_whitespace=False,
        help_text="YAML, one document a policy, as :export gives them.",
    )
    dry_run = serializers.BooleanField(
        default=True, help_text="Say what would change, and change nothing."
    )
    prune = serializers.BooleanField(
        default=False, help_text="Retire what is in force and in no file."
    )
    reason = serializers.CharField(default="", allow_blank=True, max_length=2000)


class PolicyFileChangeSerializer(serializers.Serializer[Any]):
    """What one file changes, or would."""

    name = serializers.CharField()
    deed = serializers.ChoiceField(choices=DEEDS)
    diff = serializers.CharField(help_text="Unified, from what is in force to the file.")
    outcome = serializers.ChoiceField(choices=OUTCOMES, allow_blank=True)
    problem = serializers.DictField(allow_null=True, help_text="What keeps it from that.")


class PolicyFilesSerializer(serializers.Serializer[Any]):
    """What the files come to."""

    dry_run = serializers.BooleanField()
    applicable = serializers.BooleanField(help_text="Whether none of them has a problem.")
    changes = PolicyFileChangeSerializer(many=True)


class ExportView(APIView):
    """Policies as files."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    @extend_schema(
        operation_id="export_policies",
        responses={(200, YAML): OpenApiResponse(OpenApiTypes.STR)},
        tags=TAGS,
    )
    def get(self, request: Request, workspace: str) -> HttpResponse:
        """Return what is in force as YAML, one document a policy, in order of their names.

        What the actor may not read whole is left out.
        """
        actor = actor_of(request)
        where = find_workspace(actor, workspace)
        text = policy_files.dump(policies.export_files(actor, where))
        headers = {"Content-Disposition": f'attachment; filename="{where.slug}-policies.yaml"'}
        return HttpResponse(text, content_type=f"{YAML}; charset=utf-8", headers=headers)


class ApplyView(APIView):
    """Files as policies."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.CATALOG_WRITE}

    @extend_schema(
        operation_id="apply_policies",
        request=PolicyFilesRequestSerializer,
        responses=PolicyFilesSerializer,
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str) -> Response:
        """Make what is in force as the files say, all or nothing; a dry run says what would be."""
        actor = actor_of(request)
        where = find_workspace(actor, workspace)
        facts = valid(PolicyFilesRequestSerializer, request)
        changes = policies.apply_files(
            actor=actor,
            workspace=where,
            files=policy_files.load(facts["files"]),
            prune=facts["prune"],
            dry_run=facts["dry_run"],
            reason=facts["reason"],
        )
        return Response(
            {
                "dry_run": facts["dry_run"],
                "applicable": not any(change.problem for change in changes),
                "changes": [asdict(change) for change in changes],
            }
        )
