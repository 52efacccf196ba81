"""Landlock: no file but the ones named, no port but the endpoints', no signal to anyone outside.

Source: Linux Documentation/userspace-api/landlock.rst, ABI 1 to 7.
"""

from __future__ import annotations

import ctypes
import os
import sys

from execution.sandbox import kernel
from execution.sandbox.domain import Endpoint, Layer, State

NAME = "files"
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION = 1
RULE_PATH_BENEATH, RULE_NET_PORT = 1, 2

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8  # linux/landlock.h
REMOVE_DIR, REMOVE_FILE = 16, 32
MAKE_DIR, MAKE_REG, TRUNCATE = 1 << 7, 1 << 8, 1 << 14
RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many file rights each version knows; later ones know as many as version 5."""
ABI_WITH_TRUNCATE, ABI_WITH_PORTS, ABI_WITH_SCOPES, LAST_ABI_WITH_RIGHTS = 3, 4, 6, 5
BIND_TCP, CONNECT_TCP = 1, 2
SCOPE_ABSTRACT_SOCKETS, SCOPE_SIGNALS = 1, 2
REMEDY = "Boot a kernel of 5.13 or later with landlock in its list of security modules (lsm=)."


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("ports", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class _NetPort(ctypes.Structure):
    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


def abi() -> int:
    """Return the version this kernel speaks, 0 for none."""
    if sys.platform != "linux":
        return 0
    try:
        return kernel.syscall(CREATE_RULESET, None, 0, VERSION)
    except OSError:
        return 0


def restrict(*, scratch: str, readable: tuple[str, ...], endpoints: tuple[Endpoint, ...]) -> Layer:
    """Leave this process `scratch` to write in and `readable` to read. Needs no_new_privs."""
    version = abi()
    if version == 0:
        return Layer(NAME, State.ABSENT, "Files are held by their permissions only.", REMEDY)
    ruleset = _create(version)
    try:
        for path in readable:
            _allow(ruleset, path, READ_FILE | READ_DIR)
        if scratch:
            truncate = TRUNCATE if version >= ABI_WITH_TRUNCATE else 0
            whole = READ_FILE | READ_DIR | WRITE_FILE | REMOVE_FILE | MAKE_REG | truncate
            _allow(ruleset, scratch, whole | MAKE_DIR | REMOVE_DIR)
        if version >= ABI_WITH_PORTS:
            for endpoint in endpoints:
                rule = _NetPort(CONNECT_TCP, endpoint.port)
                kernel.syscall(ADD_RULE, ruleset, RULE_NET_PORT, ctypes.byref(rule), 0)
        kernel.syscall(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return _report(version)


def _create(version: int) -> int:
    """Return a ruleset that denies all that this version can deny."""
    rights = RIGHTS_BY_ABI[min(version, LAST_ABI_WITH_RIGHTS)]
    ruleset = _Ruleset((1 << rights) - 1, 0, 0)
    size = 8
    if version >= ABI_WITH_PORTS:
        ruleset.ports, size = BIND_TCP | CONNECT_TCP, 16
    if version >= ABI_WITH_SCOPES:
        ruleset.scoped, size = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS, 24
    return kernel.syscall(CREATE_RULESET, ctypes.byref(ruleset), size, 0)


def _allow(ruleset: int, path: str, rights: int) -> None:
    """Allow `rights` beneath `path`, as far as a path of its kind can have them; absent is fine."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        of_files = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
        kept = rights if os.path.isdir(path) else rights & of_files  # noqa: PTH112 - no pathlib per rule
        rule = _PathBeneath(kept, descriptor)
        kernel.syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)


def _report(version: int) -> Layer:
    detail = f"Reads and writes its scratch directory only (Landlock ABI {version})."
    if version >= ABI_WITH_TRUNCATE:
        return Layer(NAME, State.FULL, detail)
    return Layer(
        NAME,
        State.WEAKER,
        f"{detail} Cannot keep it from truncating files it may write by permission.",
        "Boot a kernel of 6.2 or later.",
    )
