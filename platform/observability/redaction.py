"""Takes secrets out of what is logged: known shapes in any text, and whatever has a telling name.

Over-zealous by design: a log line that lost a harmless word is cheaper than one that kept a key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

MASK = "[redacted]"
DEEPEST = 6
"""What lies deeper than this is not shown at all."""

TELLING = re.compile(
    r"authori[sz]ation|bearer|cookie|credential|dpop|passphrase|passw(or)?d|private_?key|secret"
    r"|session_?(id|key)|signature|token|access_?key|api_?key|csrf",
    re.IGNORECASE,
)
HARMLESS = frozenset({"token_id"})

_VALUE = r"""(?:\[redacted\]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"',;&)}\]]+)"""
SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    # PEM blocks, whole
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*-----|\Z)", re.DOTALL),
        MASK,
    ),
    # Cookie headers: all pairs to the end of the line
    (re.compile(r"(?i)(cookie['\"]?\s*[:=]\s*)[^\r\n]+"), rf"\1{MASK}"),
    # HTTP credentials, wherever they are
    (re.compile(r"(?i)\b(bearer|dpop|basic|digest|aws4-hmac-sha256)\s+\S+"), rf"\1 {MASK}"),
    # scheme://user:password@host, to the last @ of the word
    (re.compile(r"(\w://[^\s:/@]*:)\S*(@)"), rf"\1{MASK}\2"),
    # Upend's own tokens: upend_<prefix>_<secret>; the prefix is safe to show
    (re.compile(r"\b(upend_[0-9a-f]{12}_)[\w-]+"), rf"\1{MASK}"),
    # JSON Web Tokens, manifests and receipts included
    (re.compile(r"\beyJ[\w-]+(?:\.[\w-]*)+"), MASK),
    # Signed addresses: what makes them work
    (
        re.compile(
            r"(?i)([?&](?:x-amz-(?:signature|credential|security-token)|signature|awsaccesskeyid"
            r"|sig|code|state|key|user_code|device_code)=)[^&\s\"'<>]+"
        ),
        rf"\1{MASK}",
    ),
    # name=value and "name": "value", by the name
    (
        re.compile(
            r"(?i)([\w-]*(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key"
            r"|private[_-]?key|signature|credential|csrf|session|authorization)[\w-]*['\"]?"
            rf"\s*[=:]\s*){_VALUE}"
        ),
        rf"\1{MASK}",
    ),
)


PLAIN = re.compile(r"(?!.*(?:eyJ|upend_))[\w/.-]*", re.ASCII)
"""Texts that no shape is in: each needs a space or one of `:=?&`, or begins as a token does."""


def clean(text: str) -> str:
    """Return `text` without what looks like a secret."""
    if PLAIN.fullmatch(text):
        return text
    for shape, instead in SHAPES:
        text = shape.sub(instead, text)
    return text


def cleaned(value: Any, depth: int = 0) -> Any:
    """Return a value to log, at any depth, without secrets."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        return clean(value.decode(errors="replace"))
    if isinstance(value, str) or not isinstance(value, Mapping | Sequence | set | frozenset):
        return clean(str(value))
    if depth >= DEEPEST:
        return MASK
    if isinstance(value, Mapping):
        return {clean(str(k)): _named(str(k), v, depth + 1) for k, v in value.items()}
    return [cleaned(item, depth + 1) for item in value]


def _named(name: str, value: Any, depth: int) -> Any:
    """Return a value by its name: a telling one is enough."""
    if TELLING.search(name) and name not in HARMLESS and value not in (None, "", True, False):
        return MASK
    return cleaned(value, depth)


def redact(_: Any, __: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """Clean an event: structlog's processor, the last before rendering."""
    return {name: _named(name, value, 0) for name, value in event.items()}
