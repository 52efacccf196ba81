"""Console addresses of where people work."""

from django.urls import path

from workspaces import views

urlpatterns = [path("w/<slug:workspace>/settings", views.settings, name="page-settings")]
