"""The one step from a process that could do anything to one that can only run its slice."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import sys
from pathlib import Path

from execution.sandbox import handover as listeners
from execution.sandbox import (
    identity,
    landlock,
    namespaces,
    seccomp,
    ties,
)
from execution.sandbox.domain import Layer, Policy, Report, State

READABLE = (
    "/dev/null", "/dev/urandom", "/etc/ca-certificates", "/etc/gai.conf", "/etc/host.conf",
    "/etc/hosts", "/etc/nsswitch.conf", "/etc/pki", "/etc/resolv.conf", "/etc/ssl",
    "/sys/devices/system/cpu", "/usr/local/share/ca-certificates", "/usr/share/ca-certificates",
)  # fmt: skip
"""What an engine reads to fetch by name over TLS, and nothing of it is secret."""
MORE_THAN_ONE = 2


class IsolationIncomplete(Exception):
    """A layer that the policy requires does not hold on this host."""

    def __init__(self, report: Report) -> None:
        lines = [f"- {layer.name}: {layer.detail} {layer.remedy}" for layer in report.missing]
        heading = (
            "This host does not isolate engines fully, and UPEND_REQUIRE_FULL_ISOLATION is set:"
        )
        super().__init__("\n".join([heading, *lines]))
        self.report = report


def enter(policy: Policy, handover: socket.socket | None = None) -> Report:
    """Give up everything but what `policy` names, for good, and say which layers hold.

    Call once, with one thread (`alone`), with all loaded and before a tenant's text is read. The
    listeners that stand for the endpoints leave through `handover`, which is closed. Raises
    `IsolationIncomplete` where the policy requires more than the host gives, and `OSError` where
    a layer that the host has cannot be put in place: the process must end then.
    """
    parent = os.getppid()
    if policy.descriptors is not None:
        own = () if handover is None else (handover.fileno(),)
        ties.keep_only((*policy.descriptors, *own))
    network, in_user_namespace = _leave_network(policy, handover)
    user = _change_user(policy, in_user_namespace)
    process = _tie(policy, parent)
    files = _restrict_files(policy)
    network = _narrow(network, policy, files)
    calls = _filter_calls(policy, network)
    report = Report((process, user, network, files, calls))
    if policy.require_full and not report.is_full:
        raise IsolationIncomplete(report)
    _check_scratch(policy)
    return report


def alone() -> None:
    """Go on in a copy of this process that has one thread, where libraries have started more.

    The original waits and ends as its copy does; the copy dies with it.
    """
    if sys.platform != "linux" or len([*Path("/proc/self/task").iterdir()]) < MORE_THAN_ONE:
        return
    original = os.getpid()
    copy = os.fork()
    if copy == 0:
        ties.tie_to(original)
        return
    ties.keep_only(())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    code = os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])
    if code >= 0:
        os._exit(code)
    with contextlib.suppress(OSError):  # SIGKILL has no other action
        signal.signal(-code, signal.SIG_DFL)
    os.kill(original, -code)


def _leave_network(policy: Policy, handover: socket.socket | None) -> tuple[Layer, bool]:
    """Move to an empty network and hand out listeners for the endpoints."""
    made: list[socket.socket] = []
    in_user_namespace = False
    if namespaces.NAME in policy.without:
        layer = _off(namespaces.NAME)
    elif not namespaces.is_possible():
        layer = namespaces.absent("this system has no network namespaces")
    else:
        named = any(not endpoint.is_address for endpoint in policy.endpoints)
        try:
            in_user_namespace = namespaces.leave(with_mounts=named)
        except OSError as error:
            layer = namespaces.absent(error)
        else:
            made = namespaces.listen(policy.endpoints, policy.scratch)
            layer = namespaces.report(endpoints=policy.endpoints)
    if handover is not None:
        listeners.give(handover, made)
    return layer, in_user_namespace


def _change_user(policy: Policy, in_user_namespace: bool) -> Layer:
    if identity.NAME in policy.without:
        return _off(identity.NAME)
    layer = identity.in_namespace() if in_user_namespace else identity.drop(policy.scratch)
    identity.drop_capabilities()
    return layer


def _tie(policy: Policy, parent: int) -> Layer:
    if ties.NAME in policy.without:
        ties.forbid_new_privileges()  # the layers after this one need it
        return _off(ties.NAME)
    return ties.tie(parent)


def _restrict_files(policy: Policy) -> Layer:
    if landlock.NAME in policy.without:
        return _off(landlock.NAME)
    readable = (*(READABLE if policy.endpoints else ()), *policy.readable)
    return landlock.restrict(scratch=policy.scratch, readable=readable, endpoints=policy.endpoints)


def _narrow(network: Layer, policy: Policy, files: Layer) -> Layer:
    """Say what still narrows the host's network where there is no other."""
    if network.state is State.FULL:
        return network
    can_filter = seccomp.NAME not in policy.without and sys.platform == "linux"
    if not policy.endpoints and can_filter:
        detail = f"{network.detail} The filter lets it make no socket."
        return Layer(network.name, State.WEAKER, detail, network.remedy)
    by_port = files.state is not State.ABSENT and landlock.abi() >= landlock.ABI_WITH_PORTS
    if by_port and can_filter:
        ports = ", ".join(sorted({str(endpoint.port) for endpoint in policy.endpoints}))
        detail = f"{network.detail} Connects only to TCP port {ports}, of any host."
        return Layer(network.name, State.WEAKER, detail, network.remedy)
    return network


def _filter_calls(policy: Policy, network: Layer) -> Layer:
    if seccomp.NAME in policy.without:
        return _off(seccomp.NAME)
    named = any(not endpoint.is_address for endpoint in policy.endpoints)
    return seccomp.install(
        network=bool(policy.endpoints), datagrams=named and network.state is not State.FULL
    )


def _check_scratch(policy: Policy) -> None:
    """Refuse a scratch directory that the new user cannot reach: spilling would fail later."""
    if policy.scratch and not os.access(policy.scratch, os.W_OK | os.X_OK):
        parent = Path(policy.scratch).parent
        message = (
            f"an engine cannot reach its scratch directory below {parent};"
            " set TMPDIR to a directory that every user may pass through"
        )
        raise PermissionError(message)


def _off(name: str) -> Layer:
    return Layer(name, State.ABSENT, "Switched off for a test.")
