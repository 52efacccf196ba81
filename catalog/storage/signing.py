"""Signs URLs by which others read one object without any other credential, and whole requests.

Source: AWS Signature Version 4, query string authentication and authorization header,
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal
from urllib.parse import quote, urlsplit

from catalog.domain import AddressingStyle
from catalog.storage.location import Credentials, Location

UNSIGNED = "UNSIGNED-PAYLOAD"


def presigned(
    location: Location,
    credentials: Credentials,
    key: str,
    *,
    valid_seconds: int,
    window_seconds: int = 0,
    public: bool = False,
    method: Literal["GET", "HEAD", "PUT"] = "GET",
    file_name: str = "",
    part: tuple[str, int] | None = None,
    now: datetime | None = None,
) -> str:
    """Return a URL that reads `key` for at least `valid_seconds`, without any other credential.

    With `window_seconds`, the URL is the same for everyone who asks within that window, so that
    caches keyed by URL survive re-signing. `public` signs for the endpoint that clients reach.
    A signature is good for one `method`. With `file_name`, browsers save the object under it.
    With `part`, the id of a multipart upload and a number, it writes that part by PUT.
    It lives no longer than borrowed credentials do, whatever is asked.
    """
    signed_at = now or datetime.now(UTC)
    if window_seconds:
        begin = int(signed_at.timestamp()) // window_seconds * window_seconds
        signed_at = datetime.fromtimestamp(begin, UTC)
    scheme, host, path = _address(location, key, public=public)
    moment = signed_at.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{location.region}/s3/aws4_request"
    token = credentials.session_token
    query = "&".join(
        (
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            f"X-Amz-Credential={quote(credentials.access_key_id + '/' + scope, safe='')}",
            f"X-Amz-Date={moment}",
            f"X-Amz-Expires={valid_seconds + window_seconds}",
            *([f"X-Amz-Security-Token={quote(token, safe='')}"] if token else []),
            "X-Amz-SignedHeaders=host",
            *([f"partNumber={part[1]}"] if part else []),
            *([f"response-content-disposition={_attachment(file_name)}"] if file_name else []),
            *([f"uploadId={quote(part[0], safe='')}"] if part else []),
        )
    )
    request = f"{method}\n{path}\n{query}\nhost:{host}\n\nhost\n{UNSIGNED}"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
    key_bytes = _signing_key(credentials.secret_access_key, moment[:8], location.region)
    signature = hmac.new(key_bytes, text.encode(), hashlib.sha256).hexdigest()
    return f"{scheme}://{host}{path}?{query}&X-Amz-Signature={signature}"


def authorized(
    location: Location,
    credentials: Credentials,
    method: str,
    key: str,
    *,
    query: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    payload_sha256: str = UNSIGNED,
    now: datetime | None = None,
) -> tuple[str, dict[str, str]]:
    """Return the URL of a request about `key`, and all of its headers, the signature among them.

    `headers` whose names begin with `x-amz-` are signed too; `payload_sha256` is the body's digest.
    """
    moment = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    scheme, host, path = _address(location, key, public=False)
    text = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(query))
    given = {name.lower(): value for name, value in (headers or {}).items()}
    given |= {"host": host, "x-amz-content-sha256": payload_sha256, "x-amz-date": moment}
    if credentials.session_token:
        given["x-amz-security-token"] = credentials.session_token
    signed = sorted(name for name in given if name == "host" or name.startswith("x-amz-"))
    listed = "".join(f"{name}:{given[name].strip()}\n" for name in signed)
    names = ";".join(signed)
    request = f"{method}\n{path}\n{text}\n{listed}\n{names}\n{payload_sha256}"
    scope = f"{moment[:8]}/{location.region}/s3/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    whole = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
    key_bytes = _signing_key(credentials.secret_access_key, moment[:8], location.region)
    signature = hmac.new(key_bytes, whole.encode(), hashlib.sha256).hexdigest()
    given["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key_id}/{scope},"
        f" SignedHeaders={names}, Signature={signature}"
    )
    return f"{scheme}://{host}{path}" + (f"?{text}" if text else ""), given


def _address(location: Location, key: str, *, public: bool) -> tuple[str, str, str]:
    """Return the scheme, host and quoted path of an object."""
    endpoint = urlsplit(location.public_endpoint if public else location.endpoint)
    if location.style is AddressingStyle.VIRTUAL:
        return endpoint.scheme, f"{location.bucket}.{endpoint.netloc}", quote(f"/{key}", "/-_.~")
    path = quote(f"{endpoint.path}/{location.bucket}/{key}", safe="/-_.~")
    return endpoint.scheme, endpoint.netloc, path


@lru_cache(maxsize=64)
def _signing_key(secret: str, day: str, region: str) -> bytes:
    """Return the day's signing key; deriving it costs more than the signature itself."""
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _attachment(file_name: str) -> str:
    return quote(f'attachment; filename="{file_name}"', safe="")
