"""`/api/v1/tokens`: API tokens of oneself and, for administrators, of programs."""

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
from accounts.domain import Actor, Scope
from accounts.models import ApiToken, ServiceAccount, User
from accounts.selectors import organization_of
from api.permissions import RequiredScopes, actor_of
from problems import NotFound


class TokenSerializer(serializers.Serializer[ApiToken]):
    """A token without its secret."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    prefix = serializers.CharField(help_text="Finds the token in logs and the ledger.")
    owner = serializers.CharField(help_text="The person or program that the token acts for.")
    scopes = serializers.ListField(child=serializers.CharField())
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)


class IssuedTokenSerializer(TokenSerializer):
    """A token just created: the only time its text is shown."""

    token = serializers.CharField(help_text="The secret. It cannot be shown again.")


class NewTokenSerializer(serializers.Serializer[Any]):
    """What to create."""

    name = serializers.CharField(max_length=120)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=[(s.value, s.value) for s in Scope])
    )
    expires_at = serializers.DateTimeField()
    service_account = serializers.UUIDField(
        required=False, help_text="For this program (administrators); without it for oneself."
    )


@extend_schema_view(get=extend_schema(operation_id="list_tokens", tags=["identity"]))
class TokensView(generics.ListAPIView[ApiToken]):
    """List tokens and create them."""

    serializer_class = TokenSerializer
    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.ADMIN, "POST": Scope.ADMIN}

    def get_queryset(self) -> QuerySet[ApiToken]:
        """Return the tokens that the actor may see."""
        return ApiToken.objects.visible_to(actor_of(self.request)).select_related(
            "user", "service_account"
        )

    @extend_schema(
        operation_id="create_token",
        request=NewTokenSerializer,
        responses={201: IssuedTokenSerializer},
        tags=["identity"],
    )
    def post(self, request: Request) -> Response:
        """Create a token; its text is in this answer and nowhere else."""
        actor = actor_of(request)
        given = NewTokenSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        issued = accounts.create_token(
            actor=actor,
            owner=_owner(actor, given.validated_data.get("service_account")),
            name=given.validated_data["name"],
            scopes=frozenset(Scope(scope) for scope in given.validated_data["scopes"]),
            expires_at=given.validated_data["expires_at"],
        )
        document = TokenSerializer(issued.token).data | {"token": issued.text}
        return Response(document, status=status.HTTP_201_CREATED)


def _owner(actor: Actor, account_id: UUID | None) -> User | ServiceAccount:
    if account_id is not None:
        programs = ServiceAccount.objects.filter(organization=organization_of(actor))
        if program := programs.filter(id=account_id).first():
            return program
    elif actor.is_person:
        return User.objects.get(id=actor.id)
    message = "There is no such service account in your organization."
    raise NotFound(message, hint="Programs do not create tokens for themselves.")


class TokenView(APIView):
    """One token."""

    required_scopes: ClassVar[RequiredScopes] = {"DELETE": Scope.ADMIN}

    @extend_schema(operation_id="revoke_token", responses={204: None}, tags=["identity"])
    def delete(self, request: Request, token_id: UUID) -> Response:
        """Revoke the token, from this moment on."""
        actor = actor_of(request)
        token = ApiToken.objects.visible_to(actor).filter(id=token_id).first()
        if token is None:
            message = "There is no such token, or it is not yours."
            raise NotFound(message)
        accounts.revoke_token(actor=actor, token=token)
        return Response(status=status.HTTP_204_NO_CONTENT)
