"""What the engine process takes away from itself before it sees a tenant's SQL.

Runs inside the child. The full sandbox (user, network, file system) is built on this boundary.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_SET_NO_NEW_PRIVS = 38

ADDRESS_SPACE_HEADROOM_BYTES = 3 * 2**30
"""Above DuckDB's own limit: stacks, arenas and libraries reserve far more than they use."""


def call_it(name: str) -> None:
    """Show `name`, up to 15 characters, in lists of processes: forks share a command line."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_NAME, name.encode(), 0, 0, 0)


def tie_to(parent_pid: int) -> None:
    """Die with the parent, gain no privileges, and leave nothing for a debugger of the same user.

    Exits at once where the parent has died before the tie was made. Other systems than Linux
    have no such tie: there the closed pipe ends a waiting child, and the deadline a running one.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(0)


def limit(*, memory_bytes: int, temp_bytes: int, cpu_seconds: int) -> None:
    """Set hard limits that the engine's own settings cannot be talked out of."""
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: temp_bytes,
        resource.RLIMIT_NOFILE: 1024,
    }
    if sys.platform == "linux":
        limits[resource.RLIMIT_AS] = memory_bytes + ADDRESS_SPACE_HEADROOM_BYTES
    for which, value in limits.items():
        hard = resource.getrlimit(which)[1]
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (ceiling, ceiling))
    # One second between the soft and the hard limit: SIGXCPU says which limit it was.
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
