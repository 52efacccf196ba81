"""`/api/v1/devices`: enrolled machines, and the decisions about them."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import services as accounts
from accounts.domain import Actor, DeviceStatus, Scope
from accounts.models import Device
from api import dpop
from api.authentication import proof_of
from api.permissions import RequiredScopes, actor_of
from problems import NotFound


class DeviceSerializer(serializers.Serializer[Device]):
    """An enrolled machine."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    person = serializers.EmailField(source="user.email")
    platform = serializers.CharField()
    client_version = serializers.CharField()
    thumbprint = serializers.CharField(help_text="RFC 7638 thumbprint of the device's key.")
    memory_bytes = serializers.IntegerField(allow_null=True)
    cores = serializers.IntegerField(allow_null=True)
    link_bytes_per_second = serializers.IntegerField(
        allow_null=True, help_text="What its latest runs fetched in a second, smoothed."
    )
    os = serializers.CharField(help_text="linux, macos, windows, or empty: as its client said.")
    is_managed = serializers.BooleanField(help_text="As an administrator stated.")
    is_disk_encrypted = serializers.BooleanField(help_text="As an administrator stated.")
    status = serializers.ChoiceField(choices=[(s.value, s.value) for s in DeviceStatus])
    created_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)
    last_seen_at = serializers.DateTimeField(allow_null=True)


class NewDeviceSerializer(serializers.Serializer[Any]):
    """What the machine says of itself; the request's DPoP proof shows that it holds the key."""

    name = serializers.CharField(max_length=120)
    platform = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    client_version = serializers.CharField(
        max_length=40, required=False, default="", allow_blank=True
    )
    public_jwk = serializers.DictField(child=serializers.CharField())
    memory_bytes = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=0, max_value=2**62
    )


@extend_schema_view(get=extend_schema(operation_id="list_devices", tags=["identity"]))
class DevicesView(generics.ListAPIView[Device]):
    """List devices and enroll them."""

    serializer_class = DeviceSerializer
    required_scopes: ClassVar[RequiredScopes] = {
        "GET": Scope.DEVICE_ENROLL,
        "POST": Scope.DEVICE_ENROLL,
    }

    def get_queryset(self) -> QuerySet[Device]:
        """Return the actor's devices; all of the organization's for who oversees it."""
        return Device.objects.visible_to(actor_of(self.request)).select_related("user")

    @extend_schema(
        operation_id="enroll_device",
        request=NewDeviceSerializer,
        responses={201: DeviceSerializer},
        tags=["identity"],
    )
    def post(self, request: Request) -> Response:
        """Enroll the machine that signed this request's `DPoP` proof with `public_jwk`."""
        actor = actor_of(request)
        given = NewDeviceSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        facts = given.validated_data
        public_jwk = dpop.public_key(facts.pop("public_jwk"))
        _require_possession(request, public_jwk)
        device = accounts.enroll_device(actor=actor, public_jwk=public_jwk, **facts)
        return Response(DeviceSerializer(device).data, status=status.HTTP_201_CREATED)


def _require_possession(request: Request, public_jwk: dict[str, str]) -> None:
    proof = proof_of(request)
    if proof is None:
        message = "Enrolment needs a DPoP header signed with the key to enroll (RFC 9449)."
        raise dpop.ProofRefused(message, hint="Use `upend login`, which sends it.")
    if proof.public_jwk != public_jwk:
        message = "The DPoP proof was signed with another key than the one to enroll."
        raise dpop.ProofRefused(message)


class DeviceDecisionView(APIView):
    """A decision about one device."""

    def find(self, actor: Actor, device_id: UUID) -> Device:
        """Return the device if the actor may see it."""
        rows = Device.objects.visible_to(actor).select_related("user")
        if device := rows.filter(id=device_id).first():
            return device
        message = "There is no such device, or it is not yours."
        raise NotFound(message)


class DeviceStatementSerializer(serializers.Serializer[Any]):
    """What an administrator, or what manages devices in their name, says of one."""

    is_managed = serializers.BooleanField(required=False)
    is_disk_encrypted = serializers.BooleanField(required=False)


class DeviceView(DeviceDecisionView):
    """One device."""

    required_scopes: ClassVar[RequiredScopes] = {"PATCH": Scope.ADMIN}

    @extend_schema(
        operation_id="state_device",
        request=DeviceStatementSerializer,
        responses=DeviceSerializer,
        tags=["identity"],
    )
    def patch(self, request: Request, device_id: UUID) -> Response:
        """Say whether the device is managed and its disk encrypted (administrators)."""
        actor = actor_of(request)
        given = DeviceStatementSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        device = self.find(actor, device_id)
        device = accounts.state_device(actor=actor, device=device, **given.validated_data)
        return Response(DeviceSerializer(device).data)


class ApproveDeviceView(DeviceDecisionView):
    """Approval."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.ADMIN}

    @extend_schema(
        operation_id="approve_device", request=None, responses=DeviceSerializer, tags=["identity"]
    )
    def post(self, request: Request, device_id: UUID) -> Response:
        """Let the device run queries (administrators)."""
        actor = actor_of(request)
        device = accounts.approve_device(actor=actor, device=self.find(actor, device_id))
        return Response(DeviceSerializer(device).data)


class RevokeDeviceView(DeviceDecisionView):
    """Revocation."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.DEVICE_ENROLL}

    @extend_schema(
        operation_id="revoke_device", request=None, responses=DeviceSerializer, tags=["identity"]
    )
    def post(self, request: Request, device_id: UUID) -> Response:
        """End the device at once and for good (its person, and administrators)."""
        actor = actor_of(request)
        device = accounts.revoke_device(actor=actor, device=self.find(actor, device_id))
        return Response(DeviceSerializer(device).data)
