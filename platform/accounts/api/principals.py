"""`/api/v1/people` and `/api/v1/service-accounts`: who can act in the organization."""

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
from accounts.api.organization import own_organization
from accounts.authorization import NotAllowed, administer
from accounts.domain import Actor, OrganizationRole, Scope
from accounts.models import Organization, ServiceAccount, User
from api.pagination import CursorPagination
from api.permissions import RequiredScopes, actor_of
from audit import targets
from problems import NotFound

SCOPES: RequiredScopes = {"GET": Scope.ADMIN, "POST": Scope.ADMIN}


class AttributesField(serializers.DictField):
    """What policies may look at, such as `{"region": "eu"}`."""

    child = serializers.CharField(max_length=1000)


class AttributesSerializer(serializers.Serializer[Any]):
    """All attributes of a principal; those left out are taken away."""

    attributes = AttributesField()


class PersonSerializer(serializers.Serializer[User]):
    """A person of the organization."""

    id = serializers.UUIDField()
    email = serializers.EmailField()
    name = serializers.CharField(source="display_name")
    organization_role = serializers.CharField()
    attributes = AttributesField()
    is_active = serializers.BooleanField()
    date_joined = serializers.DateTimeField()
    last_login = serializers.DateTimeField(allow_null=True)


class NewPersonSerializer(serializers.Serializer[Any]):
    """Whom to add. Without a password they need a reset link to sign in."""

    email = serializers.EmailField()
    name = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    password = serializers.CharField(required=False, default=None, write_only=True)
    organization_role = serializers.ChoiceField(
        choices=[(r.value, r.value) for r in OrganizationRole],
        default=OrganizationRole.MEMBER.value,
    )


class ServiceAccountSerializer(serializers.Serializer[ServiceAccount]):
    """A program that acts."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField()
    attributes = AttributesField()
    created_by = serializers.EmailField(source="created_by.email")
    created_at = serializers.DateTimeField()
    disabled_at = serializers.DateTimeField(allow_null=True)


class NewServiceAccountSerializer(serializers.Serializer[Any]):
    """Which program to add."""

    name = serializers.CharField(max_length=120)
    description = serializers.CharField(required=False, default="", allow_blank=True)


class ByEmail(CursorPagination):
    """People are looked up by address."""

    ordering = "email"


@extend_schema_view(get=extend_schema(operation_id="list_people", tags=["identity"]))
class PeopleView(generics.ListAPIView[User]):
    """List people and add them."""

    serializer_class = PersonSerializer
    pagination_class = ByEmail
    required_scopes: ClassVar[RequiredScopes] = SCOPES

    def get_queryset(self) -> QuerySet[User]:
        """Return the people of the actor's organization."""
        return User.objects.filter(organization=own_organization(actor_of(self.request)))

    @extend_schema(
        operation_id="create_person",
        request=NewPersonSerializer,
        responses={201: PersonSerializer},
        tags=["identity"],
    )
    def post(self, request: Request) -> Response:
        """Add a person to the organization (administrators)."""
        actor = actor_of(request)
        given = NewPersonSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        facts = given.validated_data
        facts["organization_role"] = OrganizationRole(facts["organization_role"])
        person = accounts.create_user(actor=actor, organization=own_organization(actor), **facts)
        return Response(PersonSerializer(person).data, status=status.HTTP_201_CREATED)


@extend_schema_view(get=extend_schema(operation_id="list_service_accounts", tags=["identity"]))
class ServiceAccountsView(generics.ListAPIView[ServiceAccount]):
    """List programs and add them."""

    serializer_class = ServiceAccountSerializer
    required_scopes: ClassVar[RequiredScopes] = SCOPES

    def get_queryset(self) -> QuerySet[ServiceAccount]:
        """Return the programs of the actor's organization."""
        rows = ServiceAccount.objects.filter(organization=own_organization(actor_of(self.request)))
        return rows.select_related("created_by")

    @extend_schema(
        operation_id="create_service_account",
        request=NewServiceAccountSerializer,
        responses={201: ServiceAccountSerializer},
        tags=["identity"],
    )
    def post(self, request: Request) -> Response:
        """Add a program (administrators), who answer for it."""
        actor = actor_of(request)
        given = NewServiceAccountSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        organization = own_organization(actor)
        account = accounts.create_service_account(
            actor=actor,
            organization=organization,
            created_by=_administrator(actor, organization),
            **given.validated_data,
        )
        document = ServiceAccountSerializer(account).data
        return Response(document, status=status.HTTP_201_CREATED)


def _administrator(actor: Actor, organization: Organization) -> User:
    verdict = administer(actor, organization.id, "service_account.manage")
    if not verdict.allowed:  # a program has no person to answer for the new one
        raise NotAllowed(verdict, actor=actor, target=targets.organization(organization))
    return User.objects.get(id=actor.id)


class DisableServiceAccountView(APIView):
    """The end of a program."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.ADMIN}

    @extend_schema(
        operation_id="disable_service_account",
        request=None,
        responses=ServiceAccountSerializer,
        tags=["identity"],
    )
    def post(self, request: Request, account_id: UUID) -> Response:
        """Stop the program at once (administrators)."""
        actor = actor_of(request)
        account = _account(actor, account_id)
        account = accounts.disable_service_account(actor=actor, account=account)
        return Response(ServiceAccountSerializer(account).data)


class PersonAttributesView(APIView):
    """What policies may look at of a person."""

    required_scopes: ClassVar[RequiredScopes] = {"PUT": Scope.ADMIN}

    @extend_schema(
        operation_id="set_person_attributes",
        request=AttributesSerializer,
        responses=PersonSerializer,
        tags=["identity"],
    )
    def put(self, request: Request, user_id: UUID) -> Response:
        """Replace the person's attributes (administrators)."""
        actor = actor_of(request)
        rows = User.objects.filter(organization=own_organization(actor), id=user_id)
        person = rows.first()
        if person is None:
            message = "There is no such person in your organization."
            raise NotFound(message)
        person = accounts.set_attributes(
            actor=actor, principal=person, attributes=_given_attributes(request)
        )
        return Response(PersonSerializer(person).data)


class ServiceAccountAttributesView(APIView):
    """What policies may look at of a program."""

    required_scopes: ClassVar[RequiredScopes] = {"PUT": Scope.ADMIN}

    @extend_schema(
        operation_id="set_service_account_attributes",
        request=AttributesSerializer,
        responses=ServiceAccountSerializer,
        tags=["identity"],
    )
    def put(self, request: Request, account_id: UUID) -> Response:
        """Replace the program's attributes (administrators)."""
        actor = actor_of(request)
        account = _account(actor, account_id)
        account = accounts.set_attributes(
            actor=actor, principal=account, attributes=_given_attributes(request)
        )
        return Response(ServiceAccountSerializer(account).data)


def _account(actor: Actor, account_id: UUID) -> ServiceAccount:
    rows = ServiceAccount.objects.filter(organization=own_organization(actor), id=account_id)
    account = rows.select_related("created_by").first()
    if account is None:
        message = "There is no such service account in your organization."
        raise NotFound(message)
    return account


def _given_attributes(request: Request) -> dict[str, str]:
    given = AttributesSerializer(data=request.data)
    given.is_valid(raise_exception=True)
    attributes: dict[str, str] = given.validated_data["attributes"]
    return attributes
