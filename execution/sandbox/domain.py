"""What a confined process may reach, and which layers hold it, as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443}


class State(StrEnum):
    """How well one layer holds."""

    FULL = "full"
    WEAKER = "weaker"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer on this host: what it does here, and what would make it full."""

    name: str
    state: State
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What holds a process, outermost layer first."""

    layers: tuple[Layer, ...]

    @property
    def is_full(self) -> bool:
        """Tell whether no layer is weaker than it could be."""
        return all(layer.state is State.FULL for layer in self.layers)

    @property
    def missing(self) -> tuple[Layer, ...]:
        """Return the layers that do not hold fully."""
        return tuple(layer for layer in self.layers if layer.state is not State.FULL)

    def as_list(self) -> list[dict[str, str]]:
        """Return JSON-ready data."""
        return [asdict(layer) for layer in self.layers]

    @classmethod
    def of_list(cls, layers: list[dict[str, str]]) -> Report:
        """Read what `as_list` wrote."""
        return cls(tuple(Layer(**one | {"state": State(one["state"])}) for one in layers))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and port that confined processes may reach by TCP.

    The relay dials `addresses` where there are some, and asks no resolver: the host was looked up,
    and found to be fit, before.
    """

    host: str
    port: int
    addresses: tuple[str, ...] = ()

    @classmethod
    def of_url(cls, url: str) -> Endpoint:
        """Return the endpoint of an http(s) URL."""
        parts = urlsplit(url)
        if not parts.hostname:
            message = f"no host in {url!r}"
            raise ValueError(message)
        return cls(parts.hostname, parts.port or PORTS[parts.scheme])

    @classmethod
    def of_dict(cls, data: dict[str, Any]) -> Endpoint:
        """Read what `asdict` wrote."""
        return cls(data["host"], data["port"], tuple(data["addresses"]))

    @property
    def is_address(self) -> bool:
        """Tell whether the host is an IP address; `localhost` is one by RFC 6761."""
        try:
            ip_address(self.host)
        except ValueError:
            return self.host == "localhost"
        return True


@dataclass(frozen=True, slots=True)
class Policy:
    """What one process keeps.

    `scratch` is the one directory it may write in, empty for none; `readable` are files and
    directories that it may read besides; `descriptors` are the open files it keeps (0 to 2 and
    the handover are always among them), None for all. `without` switches layers off by name, for
    tests. `require_full` makes `enter` raise where a layer does not hold fully.
    """

    scratch: str = ""
    endpoints: tuple[Endpoint, ...] = ()
    readable: tuple[str, ...] = ()
    descriptors: tuple[int, ...] | None = None
    without: tuple[str, ...] = ()
    require_full: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready data."""
        return asdict(self)

    @classmethod
    def of_dict(cls, data: dict[str, Any]) -> Policy:
        """Read what `as_dict` wrote."""
        kept = data["descriptors"]
        return cls(
            scratch=data["scratch"],
            endpoints=tuple(map(Endpoint.of_dict, data["endpoints"])),
            readable=tuple(data["readable"]),
            descriptors=None if kept is None else tuple(kept),
            without=tuple(data["without"]),
            require_full=data["require_full"],
        )
