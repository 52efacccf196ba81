"""The system calls that remain: a positive list, some of them with checked arguments.

What is not listed does not exist for the process (ENOSYS, so that libraries fall back): execve,
fork, ptrace, mount, bpf, io_uring, keyctl, userfaultfd, unshare, setns, bind, listen and whatever
kernels add later. Source: Linux Documentation/userspace-api/seccomp_filter.rst.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

from execution.sandbox import kernel
from execution.sandbox.domain import Layer, State
from execution.sandbox.syscalls import CONDITIONAL, NETWORK, NUMBERS

NAME = "system calls"
PR_SET_SECCOMP, MODE_FILTER = 22, 2
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, AND, RETURN = 0x20, 0x15, 0x35, 0x54, 0x06  # linux/filter.h
ALLOW, KILL_PROCESS, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000  # linux/seccomp.h
X32 = 0x40000000
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Column of the table of numbers, and AUDIT_ARCH of linux/audit.h."""

CLONE_THREAD = 0x00010100
"""CLONE_VM and CLONE_THREAD: a thread of this process, and nothing else, may be made."""
PROT_EXEC = 4
MSG_FASTOPEN = 0x20000000
"""Would connect without connect(2), past Landlock."""
INET, INET6, STREAM, DATAGRAM, KIND = 2, 10, 1, 2, 0xF

Instruction = tuple[int, int, int, int]
Test = tuple[int, int, tuple[int, ...]]
"""An argument's number, the mask laid over its low 32 bits, and the values that may remain."""
WHOLE = 0xFFFFFFFF

FCNTL_COMMANDS = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030)
"""Duplicate, flags and record locks; none that sets an owner for signals."""
IOCTLS = (0x5401, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS (is it a terminal?), FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""
PRCTLS = (15, 16, 0x53564D41)
"""Names of threads and of memory areas."""
SOCKET_LEVELS = (1, 6)
SOCKET_OPTIONS = (1, 2, 4, 5, 6, 7, 8, 9, 13, 18, 20, 21, 66, 67)
"""TCP_NODELAY and keep-alive; SO_REUSEADDR, buffer sizes, SO_LINGER and time limits."""


def install(*, network: bool, datagrams: bool = False) -> Layer:
    """Filter this process's system calls for good. Needs no_new_privs and a single thread."""
    machine = os.uname().machine
    if sys.platform != "linux" or machine not in ARCHITECTURES:
        detail = f"System calls are not filtered on {sys.platform} {machine}."
        return Layer(NAME, State.ABSENT, detail, "Run Upend on Linux on x86_64 or aarch64.")
    code = b"".join(struct.pack("HBBI", *one) for one in program(machine, network, datagrams))
    buffer = ctypes.create_string_buffer(code, len(code))
    described = ctypes.create_string_buffer(
        struct.pack("H6xQ", len(code) // 8, ctypes.addressof(buffer))
    )
    try:
        kernel.prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.cast(described, ctypes.c_void_p))
    except OSError as error:
        detail = f"System calls are not filtered ({error.strerror})."
        return Layer(NAME, State.ABSENT, detail, "Use a kernel with CONFIG_SECCOMP_FILTER.")
    return Layer(NAME, State.FULL, "Can start no program or process, and reach no other's memory.")


def program(machine: str, network: bool, datagrams: bool) -> list[Instruction]:
    """Return the filter, for the process that calls this."""
    column, architecture = ARCHITECTURES[machine]
    lines: list[Instruction] = [
        (LOAD, 0, 0, 4),
        (JUMP_EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, 0),
        (JUMP_AT_LEAST, 0, 1, X32),
        (RETURN, 0, 0, KILL_PROCESS),
    ]
    tests = _tests(datagrams)
    for name, numbers in NUMBERS.items():
        number = numbers[column]
        if number is None or (name in NETWORK and not network):
            continue
        if name == "sendmmsg" and not datagrams:
            continue
        block = [line for test in tests.get(name, ()) for line in _check(test)]
        lines += [(JUMP_EQUAL, 0, len(block) + 1, number), *block, (RETURN, 0, 0, ALLOW)]
    return [*lines, (RETURN, 0, 0, ERRNO | errno.ENOSYS)]


def _tests(datagrams: bool) -> dict[str, tuple[Test, ...]]:
    """Return what the arguments of `CONDITIONAL` calls must be."""
    own = os.getpid()
    kinds = (STREAM, DATAGRAM) if datagrams else (STREAM,)
    tests: dict[str, tuple[Test, ...]] = {
        "clone": ((0, CLONE_THREAD, (CLONE_THREAD,)),),
        "fcntl": ((1, WHOLE, FCNTL_COMMANDS),),
        "ioctl": ((1, WHOLE, IOCTLS),),
        "mmap": ((2, PROT_EXEC, (0,)),),
        "mprotect": ((2, PROT_EXEC, (0,)),),
        "prctl": ((0, WHOLE, PRCTLS),),
        "prlimit64": ((0, WHOLE, (0, own)),),
        "sendmsg": ((2, MSG_FASTOPEN, (0,)),),
        "sendmmsg": ((3, MSG_FASTOPEN, (0,)),),
        "sendto": ((3, MSG_FASTOPEN, (0,)),),
        "setsockopt": ((1, WHOLE, SOCKET_LEVELS), (2, WHOLE, SOCKET_OPTIONS)),
        "socket": ((0, WHOLE, (INET, INET6)), (1, KIND, kinds)),
        "tgkill": ((0, WHOLE, (own,)),),
    }
    assert tests.keys() == CONDITIONAL  # noqa: S101 - a rule that falls out would allow all
    return tests


def _check(test: Test) -> list[Instruction]:
    """Return instructions that fall through where the test holds and refuse where it does not."""
    argument, mask, values = test
    lines: list[Instruction] = [(LOAD, 0, 0, 16 + 8 * argument)]  # little-endian: low half first
    if mask != WHOLE:
        lines.append((AND, 0, 0, mask))
    count = len(values)
    lines += [(JUMP_EQUAL, count - at, 0, value) for at, value in enumerate(values)]
    return [*lines, (RETURN, 0, 0, ERRNO | errno.EPERM)]
