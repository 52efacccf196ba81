"""System calls that Python has no name for."""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, *arguments: int | ctypes.c_void_p | ctypes.c_char_p) -> int:
    """Change an attribute of this process, as in the manual of the same name.

    Raises `OSError`.
    """
    filled = [*arguments, 0, 0, 0, 0][:4]
    words = [ctypes.c_ulong(one) if isinstance(one, int) else one for one in filled]
    return _checked(_libc.prctl(option, *words), "prctl")


def syscall(number: int, *arguments: object) -> int:
    """Call a system call by number, the same on every processor since Linux 5.0."""
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *words), f"system call {number}")


def unshare(flags: int) -> None:
    """Leave namespaces for new ones. Raises `OSError`."""
    _checked(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str | None, flags: int) -> None:
    """Mount `source` on `target`. Raises `OSError`."""
    result = _libc.mount(
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        None,
    )
    _checked(result, f"mount {target}")


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
