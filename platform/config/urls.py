"""Every address of Upend; each room brings its own, this file only puts them together."""

from django.urls import include, path

from config import health, metrics

urlpatterns = [
    # What programs ask all day comes first: addresses are compared one after the other.
    path("api/v1/", include("catalog.urls.rows")),
    path("api/v1/", include("execution.urls.api")),
    path("api/v1/", include("catalog.urls.api")),
    path("api/v1/", include("governance.urls.api")),
    path("api/v1/", include("accounts.urls.api")),
    path("api/v1/", include("workspaces.urls.api")),
    path("api/v1/", include("audit.urls.api")),
    path("accounts/", include("allauth.urls")),
    path("", include("accounts.urls.oauth")),
    path("", include("allauth.idp.urls")),
    path("", include("api.urls")),
    path("", include("accounts.urls.well_known")),
    path("health/live", health.live, name="health-live"),
    path("health/ready", health.ready, name="health-ready"),
    path("metrics", metrics.scrape, name="metrics"),
    path("", include("governance.urls.organization")),
    path("", include("execution.urls.files")),
    path("", include("console.urls")),
    path("", include("catalog.urls.console")),
    path("", include("execution.urls.console")),
    path("", include("governance.urls.console")),
    path("", include("audit.urls.console")),
    path("", include("workspaces.urls.console")),
    path("", include("accounts.urls.console")),
]
