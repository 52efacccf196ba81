"""Console addresses that belong to no room."""

from django.urls import path

from console import views

urlpatterns = [
    path("", views.home, name="page-home"),
    path("palette", views.palette_choices, name="page-palette"),
    path("status", views.status_banner, name="page-status"),
]
