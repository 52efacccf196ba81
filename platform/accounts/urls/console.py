"""Console addresses of who acts."""

from django.urls import path

from accounts import views

urlpatterns = [
    path("devices", views.devices, name="page-devices"),
    path("devices/<uuid:device>/approve", views.approve_device, name="page-device-approve"),
    path("devices/<uuid:device>/state", views.state_device, name="page-device-state"),
    path("devices/<uuid:device>/revoke", views.revoke_device, name="page-device-revoke"),
    path("settings/tokens", views.tokens, name="page-tokens"),
    path("settings/tokens/create", views.create_token, name="page-token-create"),
    path("settings/tokens/<uuid:token>/revoke", views.revoke_token, name="page-token-revoke"),
]
