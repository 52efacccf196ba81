"""The address that manifests name files by."""

from django.urls import path

from execution.api.files import file

urlpatterns = [path("files/<uuid:grant_id>/<int:ordinal>", file, name="file")]
