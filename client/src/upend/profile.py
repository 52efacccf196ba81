"""Which server, as whom: the configuration and credentials kept on this machine."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import platformdirs

from upend.errors import NotLoggedIn, UsageError
from upend.files import read_private, write_private

DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An OAuth access token with what renews it; `expires_at` in seconds since the epoch."""

    access_token: str
    refresh_token: str = ""
    expires_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Profile:
    """One server this machine knows, under a short name."""

    name: str
    url: str
    workspace: str = ""
    device_id: str = ""

    @property
    def origin(self) -> str:
        """Return scheme, host and port of the server."""
        return origin_of(self.url)


class Store:
    """The files under the configuration folder; every one of them is private to its owner."""

    def __init__(self, root: Path | None = None) -> None:
        configured = os.environ.get("UPEND_CONFIG_DIR")
        self.root = root or (
            Path(configured) if configured else platformdirs.user_config_path("upend", False)
        )

    # --- Profiles ---------------------------------------------------------------------------
    def profiles(self) -> dict[str, Profile]:
        """Return the known profiles by name."""
        found: dict[str, Profile] = {}
        for name, members in self._config().get("profiles", {}).items():
            found[name] = Profile(
                name=name,
                url=str(members["url"]),
                workspace=str(members.get("workspace", "")),
                device_id=str(members.get("device_id", "")),
            )
        return found

    def default_name(self) -> str:
        """Return the name of the profile that is used when none is named, or ''."""
        return str(self._config().get("default", ""))

    def save(self, profile: Profile, *, make_default: bool = False) -> None:
        """Keep `profile`; the first one kept becomes the default."""
        config = self._config()
        members = asdict(profile)
        members.pop("name")
        config.setdefault("profiles", {})[profile.name] = members
        if make_default or not config.get("default"):
            config["default"] = profile.name
        write_private(self.root / "config.json", config)

    def for_url(self, url: str) -> Profile | None:
        """Return the profile of the server at `url`, the default one first."""
        default = self.default_name()
        same = [p for p in self.profiles().values() if p.origin == origin_of(url)]
        return min(same, key=lambda p: (p.name != default, p.name), default=None)

    def _config(self) -> dict[str, Any]:
        return read_private(self.root / "config.json") or {}

    # --- Secrets ----------------------------------------------------------------------------
    def credentials(self, profile: Profile) -> Credentials | None:
        """Return what the last login left, None after a logout."""
        members = read_private(self._credentials_path(profile))
        return Credentials(**members) if members else None

    def save_credentials(self, profile: Profile, credentials: Credentials) -> None:
        """Keep `credentials` for `profile`."""
        write_private(self._credentials_path(profile), asdict(credentials))

    def forget_credentials(self, profile: Profile) -> None:
        """Delete the credentials; the device key stays, for the next login."""
        self._credentials_path(profile).unlink(missing_ok=True)

    def device_path(self, profile: Profile) -> Path:
        """Return where the device's private key for `profile` is kept."""
        return self.root / "devices" / f"{profile.name}.json"

    def server_keys_path(self, url: str) -> Path:
        """Return where the signing keys seen at the server of `url` are pinned."""
        return self.root / "servers" / f"{_file_name(origin_of(url))}.json"

    def _credentials_path(self, profile: Profile) -> Path:
        return self.root / "credentials" / f"{profile.name}.json"


def choose(store: Store, *, url: str | None = None, name: str | None = None) -> Profile:
    """Return the profile to use: by `name`, by `url`, by UPEND_URL, else the default one.

    A server that is not known yet gets a profile named after its host, not saved.
    """
    if name and not url:
        known = store.profiles()
        if name not in known:
            raise UsageError(
                f"There is no profile named {name!r}; known: {', '.join(sorted(known)) or 'none'}.",
                code="unknown-profile",
                hint=f"upend login --profile {name} <url> makes one.",
            )
        return known[name]
    url = url or os.environ.get("UPEND_URL") or ""
    if url:
        profile = store.profiles().get(name) if name else store.for_url(url)
        fresh = Profile(name=name or profile_name(url), url=normalized(url))
        return (
            replace(profile, url=fresh.url) if profile and profile.origin == fresh.origin else fresh
        )
    default = store.profiles().get(store.default_name())
    if default is None:
        raise NotLoggedIn(
            "No server is known on this machine yet.",
            code="no-server",
            hint="upend login <url> (or set UPEND_URL and UPEND_TOKEN).",
        )
    return default


def normalized(url: str) -> str:
    """Return `url` as scheme://host[:port][/path] without a trailing slash; raise UsageError."""
    text = url if "://" in url else f"https://{url}"
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise UsageError(
            f"{url!r} is not the address of a server.",
            code="invalid-url",
            hint=f"Give it as https://upend.example.com or {DEFAULT_URL}.",
        )
    return f"{origin_of(text)}{parts.path.rstrip('/')}"


def origin_of(url: str) -> str:
    """Return scheme, host and port of `url` in one spelling (RFC 6454 section 6.2)."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}.get(parts.scheme)
    port = f":{parts.port}" if parts.port and parts.port != default else ""
    return f"{parts.scheme}://{host}{port}"


def profile_name(url: str) -> str:
    """Return the name a profile gets from its server's address."""
    return _file_name(urlsplit(normalized(url)).netloc)


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-")
