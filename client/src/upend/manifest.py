"""Trust nothing in a manifest until all of it is proven: only then is a byte of data fetched.

A manifest is a compact JWS by the organization's Ed25519 key. It carries a slice of the lake and
the address of its files, for one query on one device until one moment.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upend import jose
from upend.errors import ManifestRejected
from upend.files import read_private, write_private
from upend.profile import origin_of

KEYS_PATH = "/.well-known/upend-keys.json"
TYPE = "upend-manifest+jws"
"""What the key says it signed: its signature on anything else is no manifest."""
LEEWAY_SECONDS = 30
"""How far two clocks may differ before it is called a skew."""

Claims = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a manifest must say to be the answer to our own request."""

    server_url: str
    device_thumbprint: str
    query_id: str
    sql: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A verified manifest."""

    claims: Claims
    key_id: str

    @property
    def body(self) -> Claims:
        """Return Upend's own claims; the standard ones are beside them."""
        body: Claims = self.claims["upend"]
        return body

    @property
    def base_url(self) -> str:
        """Return the address below which every file lies, with its last slash."""
        return with_slash(str(self.body["files"]["base_url"]))

    @property
    def bearer(self) -> str:
        """Return what opens the files, and nothing else."""
        return str(self.body["files"]["bearer"])

    @property
    def paths(self) -> list[str]:
        """Return every URL the engine may open."""
        return [str(file["path"]) for one in self.body["slices"] for file in one["files"]]

    def limit(self, name: str) -> int | None:
        """Return one of the limits the server set: such as `max_rows`, None if it set none."""
        value = self.body["limits"].get(name)
        return None if value is None else int(value)


class ServerKeys:
    """The server's published signing keys, pinned on this machine.

    A key id once seen must keep its key. New key ids are learned from the server itself, when a
    manifest names one that is not known: that is how keys are rotated.
    """

    def __init__(self, path: Path, fetch: Callable[[], Claims]) -> None:
        self._path = path
        self._fetch = fetch

    def get(self, key_id: str) -> jose.Jwk:
        """Return the key of this id; raise ManifestRejected if the server does not publish it."""
        pinned = self._pinned()
        if key_id not in pinned:
            pinned = self._learn(pinned)
        if key_id not in pinned:
            raise _rejected(
                "manifest-unknown-key",
                f"It is signed by a key ({key_id}) that the server does not publish.",
                hint="Somebody else may have made it. Tell an administrator; do not work around.",
            )
        return pinned[key_id]

    def _pinned(self) -> dict[str, jose.Jwk]:
        document = read_private(self._path) or {}
        return {str(key["kid"]): key for key in document.get("keys", [])}

    def _learn(self, pinned: dict[str, jose.Jwk]) -> dict[str, jose.Jwk]:
        published = {str(k["kid"]): k for k in self._fetch().get("keys", []) if "kid" in k}
        for key_id, key in published.items():
            if key_id in pinned and pinned[key_id].get("x") != key.get("x"):
                raise _rejected(
                    "manifest-key-changed",
                    f"The server now publishes another key under the id {key_id} than before.",
                    hint=f"If an administrator confirms the change, delete {self._path}.",
                )
        known = published | pinned
        write_private(self._path, {"keys": list(known.values())})
        return known


def verify(
    token: str, *, expected: Expectation, keys: ServerKeys, now: float | None = None
) -> Manifest:
    """Return the manifest in `token` if every part of it is proven; raise ManifestRejected.

    Checked in this order: form and algorithm, key, signature, schema, issuer, audience, times,
    query, files.
    """
    key_id = _check_header(token)
    claims = _check_signature(token, keys.get(key_id))
    _check_schema(claims)
    _check_parties(claims, expected)
    _check_times(claims, time.time() if now is None else now)
    _check_query(claims, expected)
    _check_files(claims, expected)
    return Manifest(claims, key_id)


def _check_header(token: str) -> str:
    try:
        header = jose.header_of(token)
    except jose.Malformed as error:
        raise _rejected("manifest-malformed", f"It is not a signed document: {error}.") from error
    algorithm = header.get("alg")
    if algorithm not in jose.ALGORITHMS:
        raise _rejected(
            "manifest-algorithm", f"It is signed with {algorithm!r}; only EdDSA is accepted."
        )
    if header.get("typ") != TYPE:
        raise _rejected("manifest-type", f"It is signed as {header.get('typ')!r}, not as {TYPE!r}.")
    if header.get("crit") or not isinstance(header.get("kid"), str):
        raise _rejected("manifest-malformed", "Its header names no key, or asks for extensions.")
    return str(header["kid"])


def _check_signature(token: str, key: jose.Jwk) -> Claims:
    try:
        payload = jose.verified_payload(token, key)
    except jose.Malformed as error:
        raise _rejected("manifest-malformed", f"It is not a signed document: {error}.") from error
    if payload is None:
        raise _rejected(
            "manifest-signature",
            "Its signature does not fit its contents: it was changed on the way.",
        )
    try:
        claims = json.loads(payload)
    except ValueError as error:
        raise _rejected("manifest-malformed", "Its contents are not JSON.") from error
    return claims if isinstance(claims, dict) else {}


@functools.cache
def _validator() -> Any:
    import jsonschema  # noqa: PLC0415  # slow to import, and only local runs need it

    text = importlib.resources.files("upend").joinpath("schemas/manifest.schema.json").read_text()
    schema = json.loads(text)
    return jsonschema.validators.validator_for(schema)(schema)


def _check_schema(claims: Claims) -> None:
    error = next(iter(_validator().iter_errors(claims)), None)
    if error is not None:
        where = "/".join(str(part) for part in error.absolute_path) or "the top"
        raise _rejected(
            "manifest-schema",
            f"It does not have the documented form (at {where}: {error.message[:200]}).",
            hint="The server may be newer than this client: install the client that came with it.",
        )


def _check_parties(claims: Claims, expected: Expectation) -> None:
    issuer = str(claims["iss"])
    if origin_of(issuer) != origin_of(expected.server_url):
        raise _rejected(
            "manifest-issuer", f"It was issued by {issuer}, not by {expected.server_url}."
        )
    if claims["aud"] != expected.device_thumbprint:
        raise _rejected(
            "manifest-audience",
            "It is addressed to another device.",
            hint="If this machine was enrolled anew, run the query again.",
        )


def _check_times(claims: Claims, now: float) -> None:
    if claims["iat"] > now + LEEWAY_SECONDS:
        ahead = claims["iat"] - now
        raise _rejected(
            "manifest-clock-skew",
            f"It was issued {ahead:.0f} s in the future by this machine's clock.",
            hint="Set this machine's clock (it is behind the server's), then run the query again.",
        )
    if claims["exp"] < now - LEEWAY_SECONDS:
        ago = now - claims["exp"]
        raise _rejected(
            "manifest-expired",
            f"It expired {ago:.0f} s ago by this machine's clock.",
            hint="Run the query again; if it happens at once, this machine's clock is ahead.",
        )


def _check_query(claims: Claims, expected: Expectation) -> None:
    query = claims["upend"]["query"]
    if query["id"] != expected.query_id:
        raise _rejected(
            "manifest-query", f"It is for query {query['id']}, not {expected.query_id}."
        )
    digests = {_sha256(expected.sql), _sha256(str(query["sql"])), str(query["sql_sha256"])}
    if len(digests) != 1:
        raise _rejected("manifest-sql", "It is for another SQL text than the one that was asked.")


def _check_files(claims: Claims, expected: Expectation) -> None:
    base = with_slash(str(claims["upend"]["files"]["base_url"]))
    if origin_of(base) != origin_of(expected.server_url):
        raise _rejected(
            "manifest-files", f"Its files are at {base}, which is not on {expected.server_url}."
        )
    for one in claims["upend"]["slices"]:
        for file in one["files"]:
            if not is_below(base, str(file["path"])):
                raise _rejected("manifest-files", f"It names a file outside {base}: {file['path']}")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def with_slash(url: str) -> str:
    """Return `url` ending in one slash, so that a prefix of it is a folder."""
    return url.rstrip("/") + "/"


def is_below(base: str, url: str) -> bool:
    """Tell whether `url` is one plain file directly below `base`: no dots, escapes or queries."""
    return url.startswith(base) and re.fullmatch(r"[A-Za-z0-9_-]+", url[len(base) :]) is not None


def _rejected(code: str, detail: str, *, hint: str = "") -> ManifestRejected:
    return ManifestRejected(
        f"The manifest was not trusted and nothing was fetched. {detail}",
        code=code,
        hint=hint or "Run the query again, or with --on server; if it persists, tell an admin.",
    )
