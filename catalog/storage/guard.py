"""Holds a client of a customer's storage to the endpoint that was checked.

`guard(client)` sends each request of a boto3 client over connections that are made only to
addresses checked at that moment, and takes no redirect: neither HTTP's nor S3's to other regions.
TLS, SNI and the Host header keep the name.

Source: botocore's event `before-send`, whose handler may answer the request itself,
https://docs.aws.amazon.com/botocore/latest/topics/events.html
"""

from __future__ import annotations

import os
import socket
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
    AWSPreparedRequest,
    AWSResponse,
)
from botocore.client import BaseClient
from botocore.exceptions import HTTPClientError
from botocore.httpsession import URLLib3Session
from urllib3 import (
    BaseHTTPResponse,
    HTTPConnectionPool,
    HTTPSConnectionPool,
    PoolManager,
    Timeout,
)
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.connection import create_connection

from catalog.storage.endpoints import EndpointRefused, Unresolved, checked_host, resolved

BLOCK_BYTES = 2**18
"""How much of a body is sent at once."""
REDIRECTS = frozenset(range(300, 400)) - {304}  # "not modified" sends nowhere


def guard(client: BaseClient, *, authorities: str = "") -> None:
    """Let `client` reach nothing but the endpoint it was made for, under checked addresses.

    `authorities` is a file of those who may certify the server; without, AWS_CA_BUNDLE of the
    environment or the public ones, as botocore does.
    """
    config: Any = client.meta.config  # its options are attributes that its stubs leave out
    session = _GuardedSession(
        verify=authorities or os.environ.get("AWS_CA_BUNDLE") or True,
        timeout=(config.connect_timeout, config.read_timeout),
        max_pool_connections=config.max_pool_connections,
    )
    endpoint = client.meta.endpoint_url

    def send(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        _require_same_server(request.url, endpoint)
        try:
            response = session.send(request)
        except HTTPClientError as error:
            cause = error.kwargs.get("error")
            raise (cause if isinstance(cause, EndpointRefused) else error) from error
        _require_no_redirect(response, endpoint)
        return response

    events: Any = client.meta.events  # its stubs know only handlers that answer nothing
    events.register("before-send", send)


def connected(connection: HTTPConnection) -> socket.socket:
    """Return a socket to the connection's host, at an address that was checked just now."""
    host, port = checked_host(connection.host.strip("[]")), connection.port
    try:
        addresses = resolved(host, port)
    except Unresolved as error:
        raise NewConnectionError(connection, str(error)) from error
    failure = OSError("it has no address")
    for address in addresses:
        try:
            return create_connection(
                (address, port), connection.timeout, socket_options=connection.socket_options
            )
        except OSError as error:
            failure = error
    if isinstance(failure, TimeoutError):
        raise ConnectTimeoutError(connection, f"{host} does not answer") from failure
    raise NewConnectionError(connection, f"{host}: {failure}") from failure


class _PlainConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return connected(self)


class _PlainTLSConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return connected(self)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _PlainTLSPool(HTTPSConnectionPool):
    ConnectionCls = _PlainTLSConnection


def plain_client(
    *, connect_seconds: float, read_seconds: float, connections: int = 1, authorities: str = ""
) -> PoolManager:
    """Return a client without keys under the same guard: for what is signed elsewhere.

    It tries once, and keeps so many `connections` to a server. Its callers pass `redirect=False`.
    """
    timeout = Timeout(connect=connect_seconds, read=read_seconds)
    manager = PoolManager(
        retries=False,
        timeout=timeout,
        maxsize=connections,
        blocksize=BLOCK_BYTES,
        ca_certs=authorities or os.environ.get("AWS_CA_BUNDLE"),
    )
    manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _PlainTLSPool}
    return manager


class _Connection(AWSHTTPConnection):
    def _new_conn(self) -> socket.socket:
        return connected(self)


class _TLSConnection(AWSHTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return connected(self)


class _NoRedirects(HTTPConnectionPool):
    """Says so to urllib3 too, which stumbles over botocore's headers at a 303."""

    def urlopen(self, *args: Any, **options: Any) -> BaseHTTPResponse:
        options["redirect"] = False
        return super().urlopen(*args, **options)


class _Pool(_NoRedirects, AWSHTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(_NoRedirects, AWSHTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class _GuardedSession(URLLib3Session):
    """botocore's own session with guarded connections; proxies of the environment are not asked."""

    _manager: PoolManager

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}


def _require_same_server(url: str, endpoint: str) -> None:
    """Refuse a request to any other host than the endpoint's, or a bucket's name before it."""
    asked, ours = urlsplit(url), urlsplit(endpoint)
    host, own = asked.hostname or "", ours.hostname or ""
    is_ours = host == own or host.endswith(f".{own}")
    if not is_ours or (asked.scheme, asked.port) != (ours.scheme, ours.port):
        message = f"A request for {endpoint} was about to be sent to {asked.scheme}://{host}."
        raise EndpointRefused(message, hint="Name the endpoint of the bucket itself.")


def _require_no_redirect(response: AWSResponse, endpoint: str) -> None:
    """Refuse an answer that sends elsewhere; `region` says where S3 has the bucket, if it does."""
    if response.status_code not in REDIRECTS:
        return
    response.raw.close()
    target = urlsplit(response.headers.get("location") or "").hostname
    region = response.headers.get("x-amz-bucket-region") or ""
    where = f"to {target}" if target else f"to the region {region}" if region else "elsewhere"
    message = f"{endpoint} answered {response.status_code}: it sends requests {where}."
    hint = "Redirects are not followed. Name the endpoint and region that the bucket is in."
    raise EndpointRefused(message, hint=hint, region=region)
