"""What holds a process to its parent and takes away its means of gaining anything."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

from execution.sandbox import kernel
from execution.sandbox.domain import Layer, State

NAME = "process"
PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_SET_NO_NEW_PRIVS = 38

ADDRESS_SPACE_HEADROOM_BYTES = 3 * 2**30
"""Above DuckDB's own limit: stacks, arenas and libraries reserve far more than they use."""
DESCRIPTORS = 1024
FIRST_FREE_DESCRIPTOR = 3


def call_it(name: str) -> None:
    """Show `name`, up to 15 characters, in lists of processes: forks share a command line."""
    if sys.platform == "linux":
        kernel.prctl(PR_SET_NAME, ctypes.c_char_p(name.encode()))


def tie_to(parent_pid: int) -> None:
    """Die with the parent, gain no privileges, and leave nothing for a debugger of the same user.

    Exits at once where the parent has died before the tie was made. A change of user undoes the
    tie: make it again afterwards. Other systems than Linux have no such tie: there the closed pipe
    ends a waiting child, and the deadline a running one.
    """
    if sys.platform == "linux":
        kernel.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        forbid_new_privileges()
        kernel.prctl(PR_SET_DUMPABLE, 0)
    if os.getppid() != parent_pid:
        os._exit(0)


def forbid_new_privileges() -> None:
    """Let no program that this process could start gain anything."""
    if sys.platform == "linux":
        kernel.prctl(PR_SET_NO_NEW_PRIVS, 1)


def tie(parent_pid: int) -> Layer:
    """Make the tie for good, after the last change of user."""
    if sys.platform != "linux":
        return Layer(
            NAME,
            State.ABSENT,
            "This system cannot end a process with its parent or forbid it new privileges.",
            "Run Upend on Linux.",
        )
    tie_to(parent_pid)
    return Layer(NAME, State.FULL, "Ends with its worker; can gain no privilege; no core dump.")


def keep_only(descriptors: tuple[int, ...]) -> None:
    """Close every open file but the standard ones and `descriptors`."""
    start = FIRST_FREE_DESCRIPTOR
    for kept in sorted(set(descriptors)):
        os.closerange(start, kept)
        start = max(start, kept + 1)
    os.closerange(start, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def limit(*, memory_bytes: int, temp_bytes: int, cpu_seconds: int | None = None) -> None:
    """Set hard limits that an engine's own settings cannot be talked out of."""
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: temp_bytes,
        resource.RLIMIT_NOFILE: DESCRIPTORS,
    }
    if sys.platform == "linux":
        limits[resource.RLIMIT_AS] = memory_bytes + ADDRESS_SPACE_HEADROOM_BYTES
    for which, value in limits.items():
        hard = resource.getrlimit(which)[1]
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (ceiling, ceiling))
    if cpu_seconds is not None:
        # One second between the soft and the hard limit: SIGXCPU says which limit it was.
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
