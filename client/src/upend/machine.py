"""What this machine is and has: told at enrolment, so that the server can place queries well."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import socket
import sys
from pathlib import Path

from upend.errors import UsageError

MEMORY = "UPEND_MEMORY"
UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def name() -> str:
    """Return a name a person recognises in a list of devices."""
    return (socket.gethostname().split(".")[0] or "device")[:120]


def description() -> str:
    """Return operating system and processor, such as `Linux 6.1 x86_64, Python 3.11.7`."""
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return f"{system}, Python {platform.python_version()}"[:200]


def memory_bytes() -> int:
    """Return the memory that may be counted on: what UPEND_MEMORY says, else what there is."""
    said = os.environ.get(MEMORY, "").strip()
    return _parsed(said) if said else _given_memory_bytes()


def _parsed(text: str) -> int:
    found = re.fullmatch(r"([0-9]+(?:[.][0-9]+)?) *(|kb|mb|gb)", text.lower())
    if found is None or float(found[1]) <= 0:
        raise UsageError(
            f"{MEMORY} is {text!r}, which is no amount of memory.",
            code="memory-not-understood",
            hint=f"Such as {MEMORY}=2GB, or leave it out.",
        )
    return int(float(found[1]) * UNITS[found[2]])


def cores() -> int:
    """Return the processor cores that this process may use."""
    return os.cpu_count() or 1


def _given_memory_bytes() -> int:
    """Return the memory this process may use: the machine's, or its container's if smaller."""
    physical = _physical_memory_bytes()
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limit = int(Path(file).read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        return min(physical, limit)
    return physical


def _physical_memory_bytes() -> int:
    if sys.platform == "win32":
        return _windows_memory_bytes()
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _windows_memory_bytes() -> int:
    kilobytes = ctypes.c_ulonglong()
    kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined]  # exists on Windows only
    kernel.GetPhysicallyInstalledSystemMemory(ctypes.byref(kilobytes))
    return kilobytes.value * 1024
