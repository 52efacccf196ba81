"""Opens files of strangers in the sandbox of engines: for adoption, and for connectors."""

from __future__ import annotations

import json
import subprocess
import sys

from django.conf import settings

from execution import gate, sandbox
from execution.gate import SqlRefused


class SandboxedReader:
    """Starts one confined process for one file, or for the files of one pull."""

    def start(self, kind: str, path: str, schema: str) -> subprocess.Popen[bytes]:
        """Return a process that writes the file's metadata as frames to stdout."""
        policy = sandbox.Policy(
            readable=(path,), descriptors=(), require_full=settings.REQUIRE_FULL_ISOLATION
        )
        orders = {"kind": kind, "path": path, "schema": schema, "policy": policy.as_dict()}
        return subprocess.Popen(
            [sys.executable, "-I", "-m", "execution.importing.child", json.dumps(orders)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"LANG": "C.UTF-8", "TZ": "UTC"},
            cwd="/",
            start_new_session=True,
            close_fds=True,
        )

    def start_pull(self, directory: str) -> subprocess.Popen[bytes]:
        """Return a process that carries a connector's orders out inside `directory`."""
        policy = sandbox.Policy(
            scratch=directory, descriptors=(), require_full=settings.REQUIRE_FULL_ISOLATION
        )
        return subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-m",
                "execution.importing.pulling",
                json.dumps(policy.as_dict()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"LANG": "C.UTF-8", "TZ": "UTC"},
            cwd="/",
            start_new_session=True,
            close_fds=True,
        )


def passes_gate(text: str) -> bool:
    """Tell whether a query may be so."""
    try:
        gate.check(text)
    except SqlRefused:
        return False
    return True
