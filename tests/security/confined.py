"""Runs a piece of code inside the sandbox: what a stranger who broke out of DuckDB would run.

`python -I confined.py` with the job as JSON on standard input; prints the answer as JSON. All
modules are imported before the sandbox closes, as an engine's are.
"""

from __future__ import annotations

import ctypes
import encodings.idna
import errno
import json
import mmap
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from execution import sandbox

libc = ctypes.CDLL(None, use_errno=True)
MODULES = (encodings.idna, errno, mmap, resource, signal, socket)


def attempt(action: Callable[[], Any]) -> str:
    """Return "allowed", or the name of what kept `action` from happening."""
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    except MemoryError:
        return "MemoryError"
    return "allowed"


def call(number: int, *arguments: Any) -> str:
    """Return "allowed" or the error's name for a raw system call."""
    ctypes.set_errno(0)
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    if libc.syscall(ctypes.c_long(number), *words) >= 0:
        return "allowed"
    return errno.errorcode[ctypes.get_errno()]


def fetch(host: str, port: int, path: str, header_host: str) -> str:
    """Return the status line and body of one HTTP request."""
    with socket.create_connection((host, port), timeout=60) as connection:
        request = f"GET {path} HTTP/1.1\r\nHost: {header_host}\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer.decode("latin-1")


def main() -> None:
    job = json.loads(sys.stdin.readline())
    if job["uid"] is not None:
        os.setgroups([])
        os.setresgid(job["uid"], job["uid"], job["uid"])
        os.setresuid(job["uid"], job["uid"], job["uid"])
    if job["behind"] and os.fork():
        os.wait()
        return
    handover = socket.socket(fileno=job["handover"]) if job["handover"] is not None else None
    names: dict[str, Any] = globals() | {"answer": None}
    try:
        report = sandbox.enter(sandbox.Policy.of_dict(job["policy"]), handover)
        exec(job["code"], names)  # noqa: S102 - the purpose of this program
        answer = {"answer": names["answer"], "report": report.as_list()}
    except sandbox.IsolationIncomplete as error:
        answer = {"incomplete": str(error), "report": error.report.as_list()}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    if job["behind"]:
        sys.stdin.read()


if __name__ == "__main__":
    main()
