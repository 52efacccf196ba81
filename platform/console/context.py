"""What every console page shows around its content."""

from typing import Any

from django.http import HttpRequest


def shell(request: HttpRequest) -> dict[str, Any]:  # noqa: ARG001
    """Return the context of the frame around a page."""
    return {}
