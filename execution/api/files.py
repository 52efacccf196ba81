"""`/files/{grant}/{ordinal}`: asked for every byte range, so a plain view with little around it."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from accounts.selectors import address_of
from api.errors import CONTENT_TYPE
from execution import services
from execution.services import FileRequest
from observability import metrics
from problems import Problem

NO_STORE = {"Cache-Control": "no-store"}


@require_safe
def file(request: HttpRequest, grant_id: UUID, ordinal: int) -> HttpResponse:
    """Answer 307 to the file in the bucket, if all that allowed it still holds."""
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    request_id = str(getattr(request, "request_id", ""))
    asked = FileRequest(
        grant_id=grant_id,
        ordinal=ordinal,
        bearer=bearer.strip() if scheme.lower() == "bearer" else "",
        method="HEAD" if request.method == "HEAD" else "GET",
        address=address_of(request),
        request_id=request_id,
    )
    try:
        url = services.authorize_file(asked)
    except Problem as problem:
        metrics.PROBLEMS.labels(problem.code).inc()
        metrics.FILE_REDIRECTS.labels("refused").inc()
        return _refusal(problem, request.path, request_id)
    metrics.FILE_REDIRECTS.labels("redirected").inc()
    return HttpResponse(status=307, headers=NO_STORE | {"Location": url})


def _refusal(problem: Problem, path: str, request_id: str) -> JsonResponse:
    document = problem.as_dict() | {"instance": path, "request_id": request_id}
    response = JsonResponse(
        document, status=problem.status, content_type=CONTENT_TYPE, headers=NO_STORE
    )
    if problem.status == 401:  # noqa: PLR2004 - RFC 9110 section 11.6.1 asks for a challenge
        response["WWW-Authenticate"] = 'Bearer realm="upend files"'
    return response
