"""Which server is used, as whom, and that its secrets are kept private."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

import upend
from upend.errors import NotLoggedIn, UsageError
from upend.profile import Credentials, Profile, Store, choose, normalized, origin_of


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    for name in ("UPEND_URL", "UPEND_TOKEN", "UPEND_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UPEND_CONFIG_DIR", str(tmp_path))
    return Store()


WORK = Profile("work", "https://upend.example", "flight-ops")
HOME = Profile("home", "http://127.0.0.1:8000")


def test_it_uses_the_first_login_until_told_otherwise(store: Store) -> None:
    store.save(WORK)
    store.save(HOME)
    assert choose(store) == WORK
    store.save(HOME, make_default=True)
    assert choose(store) == HOME
    assert choose(store, name="work") == WORK
    assert choose(store, url="https://UPEND.example:443/") == WORK


def test_it_lets_the_environment_decide(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save(WORK)
    monkeypatch.setenv("UPEND_URL", "http://localhost:9000")
    monkeypatch.setenv("UPEND_TOKEN", "upend_abc_def")
    monkeypatch.setenv("UPEND_WORKSPACE", "w")
    with upend.connect() as connection:
        assert connection.profile == Profile("localhost-9000", "http://localhost:9000")
        assert connection.workspace == "w"


def test_it_says_how_to_begin(store: Store) -> None:
    with pytest.raises(NotLoggedIn, match="No server") as nothing:
        upend.connect()
    assert "upend login" in nothing.value.hint
    with pytest.raises(NotLoggedIn, match="not logged in") as stranger:
        upend.connect("https://upend.example")
    assert stranger.value.hint == "upend login https://upend.example"
    with pytest.raises(UsageError, match="no profile named 'nope'"):
        upend.connect(profile="nope")


def test_it_keeps_credentials_private(store: Store) -> None:
    store.save(WORK)
    store.save_credentials(WORK, Credentials("access", "refresh", 12.5))
    assert store.credentials(WORK) == Credentials("access", "refresh", 12.5)
    for path in store.root.rglob("*.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    store.forget_credentials(WORK)
    assert store.credentials(WORK) is None


def test_it_refuses_credentials_that_others_may_read(store: Store) -> None:
    store.save_credentials(WORK, Credentials("access"))
    (store.root / "credentials" / "work.json").chmod(0o640)
    with pytest.raises(UsageError, match="other users") as open_file:
        store.credentials(WORK)
    assert "chmod 600" in open_file.value.hint


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("upend.example", "https://upend.example"),
        ("https://Upend.Example/", "https://upend.example"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("https://example.com/upend/", "https://example.com/upend"),
    ],
)
def test_it_reads_addresses(given: str, address: str) -> None:
    assert normalized(given) == address


@pytest.mark.parametrize("given", ["ftp://x", "https://", "https://me:secret@upend.example"])
def test_it_refuses_what_is_no_address(given: str) -> None:
    with pytest.raises(UsageError, match="not the address"):
        normalized(given)


def test_it_tells_origins_apart() -> None:
    assert origin_of("https://a.example/x") == origin_of("https://A.example:443")
    assert origin_of("https://a.example") != origin_of("http://a.example")
    assert origin_of("http://a.example:81") != origin_of("http://a.example")
