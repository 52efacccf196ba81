"""A network with nothing in it but listeners that stand for the object store.

The relay outside holds the listening sockets: what connects to them in here comes out there, and
there only (`execution.sandbox.relay`). Names of endpoints are told by a hosts file of the process's
own, so that URLs and certificates stay what they are.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys
from ipaddress import ip_address
from pathlib import Path

from execution.sandbox import kernel
from execution.sandbox.domain import Endpoint, Layer, State

NAME = "network"
PR_SET_DUMPABLE = 4  # linux/prctl.h
CLONE_NEWNS = 0x00020000  # linux/sched.h
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18  # linux/mount.h
SIOCSIFADDR, SIOCSIFFLAGS = 0x8916, 0x8914  # linux/sockios.h
IFF_UP_RUNNING = 0x41
LOOPBACK_INDEX = 1
HOSTS = "/etc/hosts"
BACKLOG = 128
REMEDY = (
    "Let the worker make namespaces: run it as root with CAP_SYS_ADMIN, or allow its user"
    " unprivileged user namespaces (sysctl user.max_user_namespaces; in containers, a seccomp"
    " profile that allows unshare)."
)


def leave(*, with_mounts: bool) -> bool:
    """Enter new namespaces; return whether a user namespace was needed for that.

    Raises `OSError` where the host allows neither.
    """
    flags = CLONE_NEWNET | CLONE_NEWIPC | (CLONE_NEWNS if with_mounts else 0)
    if os.geteuid() == 0:
        kernel.unshare(flags)
        return False
    uid, gid = os.geteuid(), os.getegid()
    kernel.prctl(
        PR_SET_DUMPABLE, 1
    )  # else the maps are root's; the tie to the parent takes it back
    kernel.unshare(CLONE_NEWUSER | flags)
    Path("/proc/self/setgroups").write_bytes(b"deny")
    Path("/proc/self/uid_map").write_bytes(b"%d %d 1" % (uid, uid))
    Path("/proc/self/gid_map").write_bytes(b"%d %d 1" % (gid, gid))
    return True


def listen(endpoints: tuple[Endpoint, ...], scratch: str) -> list[socket.socket]:
    """Return a listener for each endpoint, at the address that its URLs lead to in here."""
    _raise_loopback()
    listeners, names = [], {}
    for number, endpoint in enumerate(endpoints, start=1):
        address = _address_of(endpoint, f"127.77.0.{number}")
        if not endpoint.is_address:
            names[endpoint.host] = address
        listeners.append(_listen_at(address, endpoint.port))
    if names:
        _tell_names(names, scratch)
    return listeners


def _address_of(endpoint: Endpoint, spare: str) -> str:
    if not endpoint.is_address:
        return spare
    return "127.0.0.1" if endpoint.host == "localhost" else endpoint.host


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", IFF_UP_RUNNING)
        fcntl.ioctl(control, SIOCSIFFLAGS, request)


def _listen_at(address: str, port: int) -> socket.socket:
    found = ip_address(address)
    family = socket.AF_INET if found.version == 4 else socket.AF_INET6  # noqa: PLR2004
    if not found.is_loopback:
        _own(address, family)
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(BACKLOG)
    return listener


def _own(address: str, family: socket.AddressFamily) -> None:
    """Give the loopback device one more address: in here, the endpoint's is ours."""
    packed = socket.inet_pton(family, address)
    with socket.socket(family, socket.SOCK_DGRAM) as control:
        if family == socket.AF_INET:
            alias = f"lo:{packed.hex()}".encode()
            request = struct.pack("16sHH4s8x", alias, family, 0, packed)
        else:
            request = struct.pack("16sIi", packed, 128, LOOPBACK_INDEX)
        fcntl.ioctl(control, SIOCSIFADDR, request)


def _tell_names(names: dict[str, str], scratch: str) -> None:
    """Put a hosts file with only `names` where the system's is, for this process alone."""
    own = Path(scratch) / "hosts"
    told = {"localhost": "127.0.0.1"} | names
    own.write_bytes("".join(f"{ip} {name}\n" for name, ip in told.items()).encode())
    own.chmod(0o444)
    kernel.mount("none", "/", None, MS_REC | MS_PRIVATE)
    kernel.mount(str(own), HOSTS, None, MS_BIND)
    own.unlink()


def report(*, endpoints: tuple[Endpoint, ...]) -> Layer:
    """Say what the network of a process that `leave` moved looks like."""
    reach = ", ".join(f"{e.host}:{e.port}" for e in endpoints) or "nothing"
    return Layer(NAME, State.FULL, f"A network of its own that leads to {reach}.")


def absent(reason: OSError | str) -> Layer:
    """Say that the network is the host's; Landlock and the filter may still narrow it."""
    return Layer(NAME, State.ABSENT, f"Shares the host's network ({reason}).", REMEDY)


def is_possible() -> bool:
    """Tell whether this system has namespaces at all."""
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "unshare")
