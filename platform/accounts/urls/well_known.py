"""Addresses of this room that standards fix (RFC 8615)."""

from django.urls import URLPattern, path

from accounts.api.keys import published_keys

urlpatterns: list[URLPattern] = [
    path(".well-known/upend-keys.json", published_keys, name="upend-keys"),
]
