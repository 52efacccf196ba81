"""Proof that a request comes from a device: DPoP (RFC 9449), Ed25519 only."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from django.core.cache import cache
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from redis.exceptions import RedisError

from accounts.keys import ALGORITHM, REGISTRY
from problems import Problem

TOLERANCE = timedelta(seconds=60)
REMEMBERED_SECONDS = int(3 * TOLERANCE.total_seconds())
LONGEST = 4096


class ProofRefused(Problem):
    """The `DPoP` header does not prove what it claims."""

    code: ClassVar[str] = "device-proof-refused"
    status: ClassVar[int] = 401
    title: ClassVar[str] = "The device's proof was refused"
    challenge: ClassVar[str] = f'DPoP error="invalid_dpop_proof", algs="{ALGORITHM}"'


class ClockSkew(ProofRefused):
    """The device's clock and the server's are too far apart."""

    code: ClassVar[str] = "clock-skew"
    title: ClassVar[str] = "The clocks differ too much"


class ReplayUncheckable(Problem):
    """Replay cannot be ruled out at present, so no proof is accepted."""

    code: ClassVar[str] = "replay-check-unavailable"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "Device proofs cannot be checked right now"


@dataclass(frozen=True, slots=True)
class Proof:
    """A verified proof: which key made it, and its single-use number."""

    public_jwk: dict[str, str]
    thumbprint: str
    jti: str


def verify(text: str, *, method: str, url: str, access_token: str, now: datetime) -> Proof:
    """Return the proof in `text`, checked as RFC 9449 §4.3 asks, replay apart.

    `url` is the public address of the request without query. Raises `ProofRefused`.
    """
    header, claims = _opened(text)
    _match("htm", claims.get("htm"), method)
    _match("htu", claims.get("htu"), url)
    _check_time(claims.get("iat"), now)
    digest = hashlib.sha256(access_token.encode()).digest()
    expected = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    if not hmac.compare_digest(str(claims.get("ath", "")).encode(), expected.encode()):
        message = "The proof was made for another access token (ath)."
        raise ProofRefused(message)
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 8 <= len(jti) <= 256:  # noqa: PLR2004 - RFC 9449 §4.2: unique
        message = "The proof has no usable single-use number (jti)."
        raise ProofRefused(message)
    return Proof(header["jwk"], _key_of(header["jwk"]).thumbprint(), jti)


def refuse_replay(proof: Proof) -> None:
    """Remember the proof's number and refuse its second use.

    Raises `ReplayUncheckable` while the memory of numbers cannot be reached: fail closed.
    """
    number = hashlib.sha256(proof.jti.encode()).hexdigest()
    try:
        is_new = cache.add(f"dpop:{proof.thumbprint}:{number}", 1, timeout=REMEMBERED_SECONDS)
    except (RedisError, OSError) as error:
        message = "The store that remembers used proofs (the broker) cannot be reached."
        hint = "Try again shortly; an operator sees the cause at /health/ready."
        raise ReplayUncheckable(message, hint=hint) from error
    if not is_new:
        message = "This proof was used before (jti)."
        raise ProofRefused(message, hint="Make a new proof for each request.")


def public_key(jwk: object) -> dict[str, str]:
    """Return the public members of an Ed25519 JWK (RFC 8037). Raises `ProofRefused`."""
    if not isinstance(jwk, Mapping) or (jwk.get("kty"), jwk.get("crv")) != ("OKP", "Ed25519"):
        message = "The key of a device must be an Ed25519 key (kty OKP, crv Ed25519)."
        raise ProofRefused(message)
    if "d" in jwk:
        message = "The key contains its private half, which must never leave the device."
        raise ProofRefused(message, hint="Discard this key and enroll with a new one.")
    members = {"kty": "OKP", "crv": "Ed25519", "x": str(jwk.get("x", ""))}
    _key_of(members)
    return members


def _key_of(members: dict[str, str]) -> OKPKey:
    try:
        return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": members["x"]})
    except (JoseError, ValueError) as error:
        message = "The key is not a well-formed Ed25519 public key."
        raise ProofRefused(message) from error


def _opened(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    if len(text) > LONGEST or "," in text:  # RFC 9449 §4.3 (1): exactly one header field
        message = "There must be exactly one DPoP proof on a request."
        raise ProofRefused(message)
    try:
        unverified = jws.extract_compact(text.encode(), registry=REGISTRY)
        header = dict(unverified.headers())
        if header.get("typ") != "dpop+jwt" or header.get("alg") != ALGORITHM:
            message = f"A proof has the type dpop+jwt and the algorithm {ALGORITHM}."
            raise ProofRefused(message)
        header["jwk"] = public_key(header.get("jwk"))
        verified = jws.deserialize_compact(text, _key_of(header["jwk"]), registry=REGISTRY)
        claims = json.loads(verified.payload)
    except (JoseError, ValueError) as error:
        message = "The proof is malformed or its signature does not match its key."
        raise ProofRefused(message) from error
    if not isinstance(claims, dict):
        message = "The proof's claims are not an object."
        raise ProofRefused(message)
    return header, claims


def _match(name: str, claimed: object, actual: str) -> None:
    if claimed != actual:
        message = f"The proof was made for {claimed!s}, but this request is {actual} ({name})."
        hint = "Use the server's public address, exactly as it gives it."
        raise ProofRefused(message, hint=hint if name == "htu" else "")


def _check_time(claimed: object, now: datetime) -> None:
    if isinstance(claimed, bool) or not isinstance(claimed, int):
        message = "The proof does not say when it was made (iat)."
        raise ProofRefused(message)
    try:
        issued_at = datetime.fromtimestamp(claimed, tz=UTC)
    except (OverflowError, OSError, ValueError) as error:
        message = "The proof's time is not a time (iat)."
        raise ProofRefused(message) from error
    if abs(now - issued_at) > TOLERANCE:
        message = (
            f"The device says it is {issued_at:%Y-%m-%d %H:%M:%S} UTC, "
            f"the server says {now:%Y-%m-%d %H:%M:%S} UTC."
        )
        raise ClockSkew(message, hint="Set the device's clock, then try again.")
