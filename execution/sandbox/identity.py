"""A user of its own: no file, process or privilege of the worker's is the child's."""

from __future__ import annotations

import ctypes
import os
import sys

from execution.sandbox import kernel
from execution.sandbox.domain import Layer, State

NAME = "user"
FIRST_UID = 0x7000_0000
"""Ids from here on belong to nobody: above what container managers and systemd hand out."""
NOBODY = 65534
CAPSET = {"x86_64": 126, "aarch64": 91}
PR_CAPBSET_DROP = 24
CAPABILITY_VERSION_3 = 0x20080522
REMEDY = "Run the worker as root, or let its user make user namespaces."


def own_uid() -> int:
    """Return the user id that no other living process has: by process id."""
    return FIRST_UID + os.getpid()


def drop(scratch: str) -> Layer:
    """Give up root for an id of this process's own, which then owns `scratch`.

    Who is not root keeps its id; the user namespace made before takes its rights over others.
    """
    if os.geteuid() != 0:
        return Layer(NAME, State.ABSENT, "Runs as the worker's own user.", REMEDY)
    try:
        _become(own_uid(), scratch)
    except OSError:  # a container that maps few ids
        _become(NOBODY, scratch)
        return Layer(
            NAME,
            State.WEAKER,
            "Runs as nobody, and so does every other engine.",
            "Give the container a range of user ids that reaches 0x70000000.",
        )
    return Layer(NAME, State.FULL, "Runs as a user that owns nothing else, without capabilities.")


def in_namespace() -> Layer:
    """Report on a process that kept its id but lives in a user namespace of its own."""
    return Layer(
        NAME,
        State.FULL,
        "Runs as the worker's user in a namespace of its own, without rights over other processes.",
    )


def _become(uid: int, scratch: str) -> None:
    """Change the user for good. Raises `OSError` before anything has changed."""
    if scratch:
        os.chown(scratch, uid, uid)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def drop_capabilities() -> None:
    """Give up what a new user namespace or root gave: all capabilities."""
    if sys.platform != "linux":
        return
    header, nothing = _Header(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    kernel.syscall(CAPSET[os.uname().machine], ctypes.byref(header), ctypes.byref(nothing))
