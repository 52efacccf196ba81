"""Logs: every line knows its request, and none keeps a secret, wherever it was put."""

from __future__ import annotations

import io
import json
import logging
import secrets
from collections.abc import Callable, Generator
from typing import Any

import pytest
import structlog
from django.conf import settings
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from accounts.domain import Actor
from observability import logs
from observability.redaction import MASK, PLAIN, cleaned
from observability.redaction import SHAPES as FOUND

ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
SECRET = st.text(ALPHABET, min_size=16, max_size=48).map(lambda text: f"Zq{text}")
WORDS = st.text(" abcdefghijklmnopqrstuvwxyz.,()äß\n\t0123456789", max_size=30)
SHAPES: dict[str, str] = {
    "bearer": "Authorization: Bearer {}",
    "bearer in a dict": "{{'Authorization': 'DPoP {}', 'Accept': '*/*'}}",
    "basic": "authorization=Basic {}",
    "token of ours": "upend_0123456789ab_{}",
    "cookie": "Cookie: theme=dark; upend_session={}; upend_csrf=x",
    "set-cookie": "Set-Cookie: upend_session={}; HttpOnly",
    "presigned": "GET http://s3/b/k?X-Amz-Algorithm=AWS4&X-Amz-Signature={}&x=1 failed",
    "presigned credential": "http://s3/b/k?x=1&X-Amz-Credential={}%2F20260101",
    "old presigned": "https://s3/b/k?AWSAccessKeyId=a&Signature={}",
    "dsn": "postgresql://upend:{}@db.example:5432/upend",
    "dsn without a name": "redis://:{}@cache/0",
    "libpq": "host=db user=upend password={} dbname=upend",
    "libpq quoted": "host=db password='pa ss {}' dbname=upend",
    "json": '{{"password": "{}", "user": "duck"}}',
    "json in words": '{{"client_secret": "with, commas; and {}"}}',
    "form": "grant=device&device_code=x&client_secret={}&scope=all",
    "login": "/accounts/oidc/callback?code={}&state=s",
    "signed token": "manifest eyJhbGciOiJFZERTQSJ9.eyJhIjoxfQ.{}",
    "private key": "-----BEGIN PRIVATE KEY-----\nMC4C\n{}\n-----END PRIVATE KEY-----",
    "environment": "UPEND_S3_SECRET_ACCESS_KEY={}",
}
NAMES = ("Authorization", "cookie", "password", "S3_SECRET", "csrf_token", "api_key", "private_key")


def wrapped(text: Any, how: int) -> Any:
    """Return a value that holds `text` somewhere inside."""
    ways: list[Callable[[Any], Any]] = [
        lambda t: t,
        lambda t: {"inner": [t]},
        lambda t: [{"a": {"b": (t, 1)}}],
        lambda t: str(t).encode(),
        ValueError,
        lambda t: {t: 1},
        lambda t: [[[[[[[[t]]]]]]]],
    ]
    return ways[how](text)


@given(
    secret=SECRET,
    shape=st.sampled_from(sorted(SHAPES)),
    before=WORDS,
    after=WORDS,
    how=st.integers(0, 6),
)
def test_it_keeps_no_secret_of_a_known_shape(
    secret: str, shape: str, before: str, after: str, how: int
) -> None:
    planted = f"{before} {SHAPES[shape].format(secret)} {after}"
    assert secret not in repr(cleaned({"detail": wrapped(planted, how)}))


@given(secret=SECRET, name=st.sampled_from(NAMES), how=st.integers(0, 6))
def test_it_keeps_no_value_of_a_telling_name(secret: str, name: str, how: int) -> None:
    assert secret not in repr(cleaned({"outer": {name: wrapped(secret, how)}}))


@given(st.text(r"aeyJ.upend_0/-=:?& \n", max_size=40) | st.from_regex(PLAIN, fullmatch=True))
def test_it_passes_over_no_text_that_a_shape_is_in(text: str) -> None:
    assert not PLAIN.fullmatch(text) or not any(shape.search(text) for shape, _ in FOUND)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_it_changes_nothing_that_it_has_cleaned_before(shape: str) -> None:
    once = cleaned(f"before {shape.format(secrets.token_urlsafe(24))} after")
    assert cleaned(once) == once
    assert f"{MASK}]" not in once


@pytest.mark.parametrize(
    "text",
    [
        "run_failed",
        "/api/v1/workspaces/flight-ops/queries/0b9f1d0e-8c1f-4c0a-9c58-111111111111",
        "GET http://127.0.0.1:8333/upend/results/a.arrow?X-Amz-Expires=60",
        "The broker cannot be reached.",
        "SELECT count(*) FROM flights WHERE day = '2013-01-01'",
    ],
)
def test_it_leaves_harmless_texts_alone(text: str) -> None:
    assert cleaned(text) == text


@pytest.fixture
def lines() -> Generator[Callable[[], list[dict[str, Any]]]]:
    """Log as JSON into memory, and return a reader of it."""
    logs.configure({"format": "json", "level": "INFO"})
    [handler] = [h for h in logging.getLogger().handlers if h.get_name() == logs.HANDLER]
    assert isinstance(handler, logging.StreamHandler)
    stream = io.StringIO()
    handler.setStream(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logs.configure(settings.LOGGING)


Lines = Callable[[], list[dict[str, Any]]]


def test_it_says_of_every_line_which_request_it_belongs_to(
    lines: Lines, owner: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    answer = signed_in(owner).get(
        "/api/v1/me?password=hunter22", headers={"X-Request-Id": "duck-1234"}
    )
    assert answer["X-Request-Id"] == "duck-1234"
    [line] = [line for line in lines() if line["event"] == "request"]
    assert line["request_id"] == "duck-1234"
    assert line["path"] == "/api/v1/me"
    assert (line["method"], line["status"], line["level"]) == ("GET", 200, "info")


@pytest.mark.parametrize("offered", ["short", "a" * 65, "spaces are not", "new\tline-1234"])
def test_it_makes_an_id_where_the_offered_one_is_not_well_formed(db: None, offered: str) -> None:
    answer = Client().get("/api/v1/me", headers={"X-Request-Id": offered})
    assert answer.status_code == 401
    assert answer["X-Request-Id"] != offered
    assert answer.json()["request_id"] == answer["X-Request-Id"]


def test_it_redacts_what_libraries_and_tracebacks_say(lines: Lines) -> None:
    secret = secrets.token_urlsafe(24)
    logging.getLogger("some.dependency").warning("sent %s", f"Authorization: Bearer {secret}")
    lost = ConnectionError(f"postgresql://upend:{secret}@db/upend is away")
    structlog.get_logger("ours").error("lost", exc_info=lost, headers={"Cookie": secret})
    found = lines()
    assert secret not in json.dumps(found)
    assert found[0]["event"] == f"sent Authorization: {MASK} {MASK}"
    assert found[1]["exception_class"] == "ConnectionError"
    assert "ConnectionError" in found[1]["exception"]
