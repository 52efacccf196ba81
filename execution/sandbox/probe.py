"""Finds out which layers this host gives, by entering the sandbox in a process that is thrown away.

A layer can look possible and fail halfway (a user namespace without rights, as some distributions
make them): such a layer is left out by every process from the start, and named with its error.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Any

from execution.sandbox import entry, identity, landlock, namespaces, seccomp, ties
from execution.sandbox.domain import Layer, Policy, Report, State

SECONDS = 30.0
ATTEMPTS = (
    (),
    (namespaces.NAME,),
    (namespaces.NAME, landlock.NAME),
    (namespaces.NAME, landlock.NAME, seccomp.NAME),
    (namespaces.NAME, landlock.NAME, seccomp.NAME, identity.NAME),
)
"""What to do without, least first, until entering works."""
REMEDIES = {
    identity.NAME: identity.REMEDY,
    landlock.NAME: landlock.REMEDY,
    namespaces.NAME: namespaces.REMEDY,
    seccomp.NAME: "Use a kernel with CONFIG_SECCOMP_FILTER and a container that allows filters.",
}


@dataclass(frozen=True, slots=True)
class Probed:
    """What this host gives, and the layers that processes must not try."""

    report: Report
    without: tuple[str, ...] = ()


def probe(policy: Policy) -> Probed:
    """Enter `policy` in another process and return what held. Costs a start of Python."""
    command = [sys.executable, "-I", "-m", "execution.sandbox.probe"]
    done = subprocess.run(
        command,
        input=json.dumps(policy.as_dict()).encode(),
        capture_output=True,
        env={},
        cwd="/",
        timeout=SECONDS,
        check=False,
    )
    if done.returncode != 0:
        return Probed(_nothing(done.stderr.decode(errors="replace").strip()[-200:]))
    found = json.loads(done.stdout)
    return Probed(Report.of_list(found["report"]), tuple(found["without"]))


def attempt(policy: Policy) -> tuple[Report | None, str]:
    """Enter in a copy of this process; return its report, or why it could not enter."""
    read_end, write_end = os.pipe()
    copy = os.fork()
    if copy == 0:
        answer: dict[str, object]
        try:
            kept = replace(policy, descriptors=(write_end,), require_full=False)
            answer = {"report": entry.enter(kept).as_list()}
        except OSError as error:
            answer = {"error": str(error)}
        os.write(write_end, json.dumps(answer).encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as stream:
        text = stream.read()
    os.waitpid(copy, 0)
    found: dict[str, Any] = json.loads(text) if text else {"error": "the process died"}
    if "report" in found:
        return Report.of_list(found["report"]), ""
    return None, found["error"]


def main() -> None:
    """Try with ever fewer layers, and print what held."""
    policy = Policy.of_dict(json.load(sys.stdin))
    reason = ""
    for without in ATTEMPTS:
        report, error = attempt(replace(policy, without=without))
        reason = reason or error
        if report is not None:
            break
    else:
        report, without = _nothing(reason), ATTEMPTS[-1]
    report = Report(tuple(_explain(layer, without, reason) for layer in report.layers))
    sys.stdout.write(json.dumps({"report": report.as_list(), "without": without}))


def _explain(layer: Layer, without: tuple[str, ...], reason: str) -> Layer:
    """Say why a layer was left out, in place of that it was."""
    if layer.name not in without:
        return layer
    narrowed = layer.detail.partition(". ")[2]
    detail = f"Not possible here: {reason}. {narrowed}".strip()
    return replace(layer, detail=detail, remedy=REMEDIES[layer.name])


def _nothing(reason: str) -> Report:
    names = (ties.NAME, identity.NAME, namespaces.NAME, landlock.NAME, seccomp.NAME)
    detail = f"A process could not be confined: {reason or 'it said nothing'}."
    remedy = "Look at the message, then start again."
    return Report(tuple(Layer(name, State.ABSENT, detail, remedy) for name in names))


if __name__ == "__main__":
    main()
