"""`/devices/{id}/reset-predictions`: forget what runs have taught about a device."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.permissions import RequiredScopes, actor_of
from execution import selectors, services


class ForgottenSerializer(serializers.Serializer[Any]):
    """How much was forgotten."""

    forgotten = serializers.IntegerField(help_text="Workspaces in which runs had taught something.")


class ResetPredictionsView(APIView):
    """What was learned about a device."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.DEVICE_ENROLL}

    @extend_schema(
        operation_id="reset_predictions",
        request=None,
        responses=ForgottenSerializer,
        tags=["identity"],
    )
    def post(self, request: Request, device_id: UUID) -> Response:
        """Forget how fast the device was and what it reported (its person, and administrators)."""
        actor = actor_of(request)
        device = selectors.find_device(actor, device_id)
        return Response({"forgotten": services.reset_predictions(actor=actor, device=device)})
