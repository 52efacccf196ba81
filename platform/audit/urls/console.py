"""Console addresses of what was recorded."""

from django.urls import path

from audit import views

urlpatterns = [path("w/<slug:workspace>/events", views.events, name="page-events")]
