"""Query a governed lakehouse: on the server or on your own machine, same SQL, same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from upend.errors import UpendError

if TYPE_CHECKING:
    from upend.connection import Connection, connect
    from upend.result import Result

__version__ = "0.1.0"
__all__ = ["Connection", "Result", "UpendError", "__version__", "connect"]

_HOMES = {
    "Connection": "upend.connection",
    "Result": "upend.result",
    "connect": "upend.connection",
}


def __getattr__(name: str) -> Any:
    """Import the engine and the network only when they are used: `upend --help` needs neither."""
    if name not in _HOMES:
        raise AttributeError(f"module 'upend' has no attribute {name!r}")
    import importlib  # noqa: PLC0415

    return getattr(importlib.import_module(_HOMES[name]), name)
