"""Addresses of the device grant (RFC 8628): allauth's own, counted, guarded and recorded."""

from django.urls import URLPattern, path

from accounts.api import oauth
from api.throttling import limited

urlpatterns: list[URLPattern] = [
    path(
        "identity/o/api/device/code",
        limited(oauth.device_code, name="device-code", per_minute=20),
        name="oauth-device-code",
    ),
    path(
        "identity/o/api/token",
        limited(oauth.token, name="oauth-token", per_minute=120),
        name="oauth-token",
    ),
    path("identity/o/device", oauth.device_authorization, name="oauth-device-authorization"),
]
