"""Every address of Upend; each room brings its own, this file only puts them together."""

from allauth.idp.oidc import views as oauth
from django.urls import include, path

from api.throttling import limited
from config import health

urlpatterns = [
    path("accounts/", include("allauth.urls")),
    path(
        "identity/o/api/device/code",
        limited(oauth.device_code, name="device-code", per_minute=20),
    ),
    path("identity/o/api/token", limited(oauth.token, name="oauth-token", per_minute=120)),
    path("", include("allauth.idp.urls")),
    path("", include("api.urls")),
    path("", include("accounts.urls.well_known")),
    path("health/live", health.live, name="health-live"),
    path("health/ready", health.ready, name="health-ready"),
    path("api/v1/", include("accounts.urls.api")),
    path("api/v1/", include("workspaces.urls.api")),
    path("api/v1/", include("audit.urls.api")),
    path("api/v1/", include("catalog.urls.api")),
    path("api/v1/", include("execution.urls.api")),
    path("", include("execution.urls.files")),
    path("", include("console.urls")),
    path("", include("catalog.urls.console")),
    path("", include("execution.urls.console")),
    path("", include("audit.urls.console")),
    path("", include("accounts.urls.console")),
]
