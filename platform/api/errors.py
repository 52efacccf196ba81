"""RFC 9457: every refusal of the API is one problem document with a stable code."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from audit import services as audit
from observability import metrics
from problems import Problem

CONTENT_TYPE = "application/problem+json"


def handle(exception: Exception, context: dict[str, Any]) -> Response | None:
    """Translate `exception`; None lets an unexpected one become a 500 with its request id."""
    document = document_of(exception)
    if document is None:
        return None
    set_rollback()
    metrics.PROBLEMS.labels(document["code"]).inc()
    if isinstance(exception, Problem):
        audit.record_denial(exception)
    request = context.get("request")
    document["instance"] = getattr(request, "path", "")
    document["request_id"] = getattr(request, "request_id", "")
    headers = {}
    if isinstance(exception, Problem) and exception.challenge:
        headers["WWW-Authenticate"] = exception.challenge
    if isinstance(exception, Problem) and exception.retry_after_seconds is not None:
        headers["Retry-After"] = str(exception.retry_after_seconds)
    if isinstance(exception, exceptions.APIException):
        if challenge := getattr(exception, "auth_header", None):
            headers["WWW-Authenticate"] = challenge
        if wait := getattr(exception, "wait", None):
            headers["Retry-After"] = str(int(wait))
    return Response(document, status=document["status"], headers=headers, content_type=CONTENT_TYPE)


def document_of(exception: Exception) -> dict[str, Any] | None:
    """Return the problem document of an expected failure, None of an unexpected one."""
    if isinstance(exception, Problem):
        return exception.as_dict()
    if isinstance(exception, Http404):
        exception = exceptions.NotFound("There is nothing here, or you may not see it.")
    elif isinstance(exception, PermissionDenied):
        exception = exceptions.PermissionDenied()
    if not isinstance(exception, exceptions.APIException):
        return None
    code = str(exception.default_code).replace("_", "-")
    document: dict[str, Any] = {
        "type": f"urn:upend:problem:{code}",
        "code": code,
        "title": str(exception.default_detail),
        "status": exception.status_code,
    }
    if isinstance(exception, exceptions.ValidationError):
        document |= {"title": "Invalid input", "status": 422, "errors": exception.detail}
        document["detail"] = "Some fields are not acceptable; `errors` names each one."
    else:
        document["detail"] = str(exception.detail)
    return document
