"""Runs moto's S3, IAM and STS with its authorization on, strict where moto 5.2 is lax.

AWS refuses a condition whose key the request lacks (moto takes it for met), checks the signature
of a presigned address (moto, with authorization on, fails with 500), and answers preflights without
a signature (moto wants one). The rest is moto's own: keys, signatures, policies of people and
roles, the bucket's region, CORS rules, multipart uploads, ranges.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode
from wsgiref.types import StartResponse, WSGIEnvironment

os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "1"  # only what the bucket's rules allow

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.core.authorization import ActionAuthenticatorMixin
from moto.iam.models import iam_backends
from moto.iam.policy_conditions import TrustCondition
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sts.models import sts_backends
from werkzeug.serving import run_simple

ACCOUNT = "123456789012"
App = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]


class Presigned:
    """Checks the signature in a query, and hands the request on with one in its header."""

    def __init__(self, app: App) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        query = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
        if "X-Amz-Signature" not in query or environ["REQUEST_METHOD"] == "OPTIONS":
            return self._app(environ, start)
        keys = keys_of(query["X-Amz-Credential"].split("/")[0])
        if keys is None or not is_signed(environ, query, keys):
            start("403 Forbidden", [("Content-Type", "application/xml")])
            return [b"<Error><Code>SignatureDoesNotMatch</Code></Error>"]
        return self._app(signed_by_header(environ, query, keys), start)


def keys_of(access_key_id: str) -> Credentials | None:
    for user in iam_backends[ACCOUNT]["aws"].list_users("/", None, None):
        for key in user.access_keys:
            if key.access_key_id == access_key_id:
                return Credentials(access_key_id, key.secret_access_key)
    for role in sts_backends[ACCOUNT]["aws"].assumed_roles:
        if role.access_key_id == access_key_id:
            return Credentials(access_key_id, role.secret_access_key, role.session_token)
    return None


def is_signed(environ: WSGIEnvironment, query: dict[str, str], keys: Credentials) -> bool:
    given = {name: value for name, value in query.items() if name != "X-Amz-Signature"}
    begun = datetime.strptime(given["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if (datetime.now(UTC) - begun).total_seconds() > int(given["X-Amz-Expires"]):
        return False
    region = given["X-Amz-Credential"].split("/")[2]
    auth = S3SigV4QueryAuth(keys, "s3", region)
    request = request_of(environ, given)
    request.context["timestamp"] = given["X-Amz-Date"]
    text = auth.string_to_sign(request, auth.canonical_request(request))
    return bool(auth.signature(text, request) == query["X-Amz-Signature"])


def signed_by_header(
    environ: WSGIEnvironment, query: dict[str, str], keys: Credentials
) -> WSGIEnvironment:
    rest = {name: value for name, value in query.items() if not name.startswith("X-Amz-")}
    request = request_of(environ, rest)
    S3SigV4Auth(keys, "s3", query["X-Amz-Credential"].split("/")[2]).add_auth(request)
    headers = {f"HTTP_{k.upper().replace('-', '_')}": v for k, v in request.headers.items()}
    return environ | headers | {"QUERY_STRING": urlencode(rest)}


def request_of(environ: WSGIEnvironment, query: dict[str, str]) -> AWSRequest:
    path = quote(environ["PATH_INFO"], safe="/-_.~")
    url = f"http://{environ['HTTP_HOST']}{path}?" + urlencode(query, quote_via=quote)
    return AWSRequest(environ["REQUEST_METHOD"], url, headers={"host": environ["HTTP_HOST"]})


def mend() -> None:
    """Put AWS's rules in place of moto's where the module's first words say so."""
    verify = TrustCondition.verify_condition
    authorize = ActionAuthenticatorMixin._authenticate_and_authorize_action

    def verify_condition(self: TrustCondition, actual: list[str]) -> bool:
        return bool(actual) and verify(self, actual)

    def without_preflights(self: Any, request_class: type, resource: str = "*") -> None:
        if self.method != "OPTIONS":
            authorize(self, request_class, resource)

    setattr(TrustCondition, "verify_condition", verify_condition)  # noqa: B010 - it is a patch
    name = "_authenticate_and_authorize_action"
    setattr(ActionAuthenticatorMixin, name, without_preflights)


if __name__ == "__main__":
    mend()
    app = Presigned(DomainDispatcherApplication(create_backend_app))
    run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=True)
