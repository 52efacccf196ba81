"""Api addresses of this room."""

from django.urls import URLPattern, path

from accounts.api.devices import ApproveDeviceView, DevicesView, DeviceView, RevokeDeviceView
from accounts.api.me import MeView
from accounts.api.organization import OrganizationView
from accounts.api.principals import (
    DisableServiceAccountView,
    PeopleView,
    PersonAttributesView,
    ServiceAccountAttributesView,
    ServiceAccountsView,
)
from accounts.api.tokens import TokensView, TokenView

urlpatterns: list[URLPattern] = [
    path("organization", OrganizationView.as_view(), name="api-organization"),
    path("me", MeView.as_view(), name="api-me"),
    path("tokens", TokensView.as_view(), name="api-tokens"),
    path("tokens/<uuid:token_id>", TokenView.as_view(), name="api-token"),
    path("devices", DevicesView.as_view(), name="api-devices"),
    path("devices/<uuid:device_id>", DeviceView.as_view(), name="api-device"),
    path(
        "devices/<uuid:device_id>/approve", ApproveDeviceView.as_view(), name="api-device-approve"
    ),
    path("devices/<uuid:device_id>/revoke", RevokeDeviceView.as_view(), name="api-device-revoke"),
    path("people", PeopleView.as_view(), name="api-people"),
    path(
        "people/<uuid:user_id>/attributes",
        PersonAttributesView.as_view(),
        name="api-person-attributes",
    ),
    path(
        "service-accounts/<uuid:account_id>/attributes",
        ServiceAccountAttributesView.as_view(),
        name="api-service-account-attributes",
    ),
    path("service-accounts", ServiceAccountsView.as_view(), name="api-service-accounts"),
    path(
        "service-accounts/<uuid:account_id>/disable",
        DisableServiceAccountView.as_view(),
        name="api-service-account-disable",
    ),
]
