"""Addresses that belong to no room alone."""

from django.urls import URLPattern, path
from drf_spectacular.views import SpectacularAPIView
from rest_framework.permissions import AllowAny

schema = SpectacularAPIView.as_view(authentication_classes=[], permission_classes=[AllowAny])
"""The OpenAPI document is public: it says nothing that the source does not."""

urlpatterns: list[URLPattern] = [path("api/v1/schema", schema, name="api-schema")]
