"""Speaks to the control plane: credentials and device proof on every request, clear errors back."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import httpx

from upend import __version__
from upend.device import DeviceKey
from upend.errors import PROOF_CODES, NotLoggedIn, Refused, Unreachable, UpendError, of_problem

ATTEMPTS = 4
LONGEST_WAIT_SECONDS = 30.0
PAGE_SIZE = 200
PASSING_FAILURES = frozenset({429, 502, 503, 504})
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
STORAGE_TIMEOUT = httpx.Timeout(300.0, connect=5.0)
EVENTS = "text/event-stream"
JSON = dict[str, Any]


class TokenSource(Protocol):
    """Where the bearer token of a request comes from."""

    def current(self) -> str:
        """Return a token that should be good, '' for an anonymous request."""

    def renewed(self) -> str | None:
        """Return a fresh token after the server refused the current one; None if there is none."""


class FixedToken:
    """A token that somebody handed over (UPEND_TOKEN, an API token): nothing renews it."""

    def __init__(self, token: str = "") -> None:
        self._token = token

    def current(self) -> str:
        """Return the token."""
        return self._token

    def renewed(self) -> str | None:
        """Return None: a new one must be asked for."""
        return None


class Api:
    """A connection to one server.

    Requests that may be repeated safely are repeated: GET always, POST when it carries an
    idempotency key. Every other failure is raised at once as an `UpendError`.
    """

    def __init__(
        self, url: str, *, tokens: TokenSource | None = None, device: DeviceKey | None = None
    ) -> None:
        self.url = url.rstrip("/")
        self.device = device
        self._tokens = tokens or FixedToken()
        agent = {"User-Agent": f"upend/{__version__}", "Accept": "application/json"}
        self._http = httpx.Client(headers=agent, timeout=TIMEOUT)
        self._storage = httpx.Client(headers={"User-Agent": agent["User-Agent"]}, timeout=TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        self._storage.close()

    def get(self, path: str, *, prove: bool = False, **params: str | int) -> Any:
        """Return the JSON at `path`."""
        return self.request("GET", path, params=params, prove=prove).json()

    def items(self, path: str, *, limit: int | None = None) -> list[JSON]:
        """Return the items of the list at `path`, page after page, up to `limit`."""
        found: list[JSON] = []
        params: dict[str, str | int] = {"page_size": min(limit or PAGE_SIZE, PAGE_SIZE)}
        while True:
            page = self.request("GET", path, params=params).json()
            found += page["results"]
            cursor = httpx.URL(page.get("next") or "").params.get("cursor")
            if not cursor or (limit and len(found) >= limit):
                return found[:limit]
            params["cursor"] = cursor

    def post(
        self,
        path: str,
        body: JSON | None = None,
        *,
        idempotent: bool = False,
        prove: bool = False,
    ) -> Any:
        """Send `body` to `path` and return the JSON answered, None if there is none.

        With `idempotent` the request carries a fresh Idempotency-Key and is safely repeated.
        With `prove` it carries a fresh proof of the device (RFC 9449), where there is one.
        """
        headers = {"Idempotency-Key": str(uuid.uuid4())} if idempotent else {}
        answer = self.request("POST", path, json=body or {}, headers=headers, prove=prove)
        return answer.json() if answer.content else None

    def form(self, path: str, data: dict[str, str]) -> httpx.Response:
        """Send a form without credentials and return the answer, whatever its status (OAuth)."""
        return self._attempt("POST", path, anonymous=True, data=data)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str | int] | None = None,
        json: JSON | None = None,
        content: bytes | None = None,
        form: tuple[dict[str, str], Path] | None = None,
        headers: dict[str, str] | None = None,
        prove: bool = False,
        repeatable: bool = False,
    ) -> httpx.Response:
        """Return the answer to an authenticated request; raise what the server refuses.

        A `form` is its fields and the file that goes with them. Say `repeatable` of what does the
        same when it is done twice, though it is no GET.
        """
        headers = headers or {}
        arguments: JSON = {"params": params, "json": json, "headers": headers, "prove": prove}
        if form is not None:
            fields, file = form
            arguments |= {"data": fields, "files": {"file": (file.name, file.read_bytes())}}
        if content is not None:
            headers = {"Content-Type": "application/octet-stream"} | headers
            arguments |= {"content": content, "headers": headers}
        repeatable = repeatable or method == "GET" or "Idempotency-Key" in headers
        attempts = ATTEMPTS if repeatable else 1
        for attempt in range(1, attempts + 1):
            try:
                answer = self._authorized(method, path, **arguments)
            except Unreachable:
                if attempt == attempts:
                    raise
                time.sleep(_backoff(attempt))
                continue
            if answer.status_code not in PASSING_FAILURES or attempt == attempts:
                return _checked(answer)
            time.sleep(_retry_after(answer) or _backoff(attempt))
        raise AssertionError("the loop returns or raises")  # pragma: no cover

    @contextmanager
    def download(
        self, path: str, *, address: str = "", **params: str | int
    ) -> Iterator[Iterator[bytes]]:
        """Yield the bytes at `path`, following one redirect to storage.

        Where the server named the `address` in storage before, the redirect is saved. Neither
        the token nor the device proof goes to the storage: its URL is the whole permit.
        """
        target = httpx.URL(address)
        if not address:
            answer = self.request("GET", path, params=params)
            location = answer.headers.get("Location")
            if not answer.is_redirect or not location:
                yield answer.iter_bytes()
                return
            target = httpx.URL(answer.url).join(location)
        try:
            with self._storage.stream("GET", target) as stored:
                if stored.status_code != HTTPStatus.OK:
                    raise _storage_refused(stored.status_code)
                yield stored.iter_bytes(1 << 20)
        except httpx.TransportError as error:
            raise Unreachable(
                f"The storage that holds the result could not be reached ({error}).",
                code="storage-unreachable",
                hint="The result stays there until it expires; check the network and try again.",
            ) from error

    def put_to_storage(self, url: str, content: bytes) -> bool:
        """Send bytes to a signed address in storage, without credentials; tell if they arrived.

        Raises `Unreachable` where the storage is out of reach, or lets nobody in.
        """
        try:
            answer = self._storage.put(url, content=content, timeout=STORAGE_TIMEOUT)
        except httpx.ConnectError as error:
            raise self._unreachable(error) from error
        except httpx.TransportError:
            return False
        return answer.is_success

    @contextmanager
    def events(self, path: str, *, longest: float) -> Iterator[Iterator[tuple[str, JSON]]]:
        """Yield the server-sent events at `path`: the kind and the data of each, until it ends.

        Raises `Unreachable` where the stream breaks or is silent for `longest` seconds, and
        `UpendError` where the server refuses it.
        """
        timeout = httpx.Timeout(longest, connect=TIMEOUT.connect)
        try:
            for may_renew in (True, False):
                headers = {"Accept": EVENTS} | _bearer(self._tokens.current())
                url = f"{self.url}{path}"
                with self._http.stream("GET", url, headers=headers, timeout=timeout) as answer:
                    if may_renew and _is_stale(answer) and self._tokens.renewed():
                        continue
                    yield _events(answer)
                    return
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def probe(self, url: str, *, bearer: str) -> httpx.Response:
        """Ask what the server says about a file now, without following it to the storage."""
        try:
            return self._storage.get(
                url, headers={"Authorization": f"Bearer {bearer}", "Range": "bytes=0-0"}
            )
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        return Unreachable(
            f"{self.url} could not be reached ({_cause(error)}).",
            code="server-unreachable",
            hint="Check the address and the network; `upend whoami` shows the server in use.",
        )

    def _authorized(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        answer = self._attempt(method, path, **arguments)
        is_stale = _is_stale(answer) and not _is_about_proof(answer)
        if is_stale and self._tokens.renewed():
            answer = self._attempt(method, path, **arguments)
        return answer

    def _attempt(
        self,
        method: str,
        path: str,
        *,
        anonymous: bool = False,
        prove: bool = False,
        **arguments: Any,
    ) -> httpx.Response:
        url = path if path.startswith(("http://", "https://")) else f"{self.url}{path}"
        token = "" if anonymous else self._tokens.current()
        headers = dict(arguments.pop("headers", None) or {}) | _bearer(token)
        if self.device and prove:
            headers["DPoP"] = self.device.proof(method, url, token)
        try:
            return self._http.request(method, url, headers=headers, **arguments)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error


def _cause(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return str(error) or type(error).__name__


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.status_code < HTTPStatus.BAD_REQUEST:
        return answer
    error = of_problem(
        answer.status_code, _document(answer), answer.headers.get("X-Request-Id", "")
    )
    if isinstance(error, NotLoggedIn) and not error.hint:
        error.hint = "upend login"
    raise error


def _events(answer: httpx.Response) -> Iterator[tuple[str, JSON]]:
    """Read an event stream (WHATWG HTML, section 9.2.6), as far as this server writes it."""
    if not answer.headers.get("Content-Type", "").startswith(EVENTS):
        answer.read()
        _checked(answer)
        raise Refused("The server does not stream events.", code="no-events")
    kind, data = "", ""
    for line in answer.iter_lines():
        name, _, value = line.partition(":")
        if name == "event":
            kind = value.strip()
        elif name == "data":
            data += value.removeprefix(" ")
        elif not line and data:
            yield kind, json.loads(data)
            kind, data = "", ""


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _is_stale(answer: httpx.Response) -> bool:
    return answer.status_code == HTTPStatus.UNAUTHORIZED


def _is_about_proof(answer: httpx.Response) -> bool:
    return _document(answer).get("code") in PROOF_CODES


def _document(answer: httpx.Response) -> JSON:
    """Return the problem document of `answer`, or one made from what came instead."""
    try:
        document = answer.json()
    except ValueError:
        document = None
    if isinstance(document, dict):
        return document
    detail = f"The server answered {answer.status_code} {answer.reason_phrase}."
    return {"code": f"http-{answer.status_code}", "detail": detail}


def _storage_refused(status: int) -> UpendError:
    return Unreachable(
        f"The storage that holds the result answered {status}.",
        code="storage-refused",
        hint="Its link is valid for a minute: try again. If it persists, tell an administrator.",
    )


def _backoff(attempt: int) -> float:
    """Return seconds to wait: doubling, with jitter so that clients do not return together."""
    return 0.2 * 2.0**attempt * random.uniform(0.5, 1.0)  # noqa: S311  # jitter, not a secret


def _retry_after(answer: httpx.Response) -> float | None:
    """Return the seconds the server asked for (RFC 9110 section 10.2.3), no more than we wait."""
    text = answer.headers.get("Retry-After", "")
    return min(float(text), LONGEST_WAIT_SECONDS) if text.isdigit() else None
