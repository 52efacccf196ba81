"""Operators learn what their hosts give the sandbox, and can refuse to run with less."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from django.test import Client

from execution import isolation, sandbox
from execution.sandbox import Policy, State

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux's")

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_NETWORKS = """
import os, sys
from execution.sandbox import kernel
uid, gid = os.getuid(), os.getgid()
kernel.unshare(0x10000000)  # CLONE_NEWUSER: a small host in which the limit is ours to set
open("/proc/self/setgroups", "w").write("deny")
open("/proc/self/uid_map", "w").write(f"{uid} {uid} 1")
open("/proc/self/gid_map", "w").write(f"{gid} {gid} 1")
open("/proc/sys/user/max_net_namespaces", "w").write("0")
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def on_a_host_without_networks(
    *command: str, text: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_NETWORKS, *command],
        input=text,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | environment,
        timeout=600,
        check=False,
    )


def test_it_finds_out_what_this_host_gives(tmp_path_factory: pytest.TempPathFactory) -> None:
    report = isolation.here()
    assert [layer.name for layer in report.layers] == [
        "process", "user", "network", "files", "system calls",
    ]  # fmt: skip
    assert all(layer.remedy for layer in report.missing)


def test_it_leaves_out_what_a_host_cannot_give_and_says_why() -> None:
    scratch = tempfile.mkdtemp(prefix="upend-probe-")
    policy = Policy(scratch=scratch, endpoints=(sandbox.Endpoint("127.0.0.1", 9000),))
    done = on_a_host_without_networks(
        "-I", "-m", "execution.sandbox.probe", text=json.dumps(policy.as_dict())
    )
    Path(scratch).rmdir()
    report = sandbox.Report.of_list(json.loads(done.stdout)["report"])
    layers = {layer.name: layer for layer in report.layers}
    assert layers["network"].state is State.WEAKER or layers["network"].state is State.ABSENT
    assert "namespaces" in layers["network"].remedy


@pytest.mark.parametrize(
    "command",
    [
        ("manage.py", "up"),
        ("manage.py", "demo"),
        ("-m", "celery", "--app=config", "worker", "--queues=query", "--pool=threads"),
        ("-c", "import config.wsgi"),
    ],
    ids=["up", "demo", "worker", "web"],
)
def test_it_refuses_to_start_with_less_than_is_required(command: tuple[str, ...]) -> None:
    done = on_a_host_without_networks(*command, UPEND_REQUIRE_FULL_ISOLATION="1")
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "UPEND_REQUIRE_FULL_ISOLATION is set" in said
    assert "- network: " in said


def test_it_runs_other_commands_with_less_than_is_required() -> None:
    done = on_a_host_without_networks(
        "manage.py", "showmigrations", UPEND_REQUIRE_FULL_ISOLATION="1"
    )
    assert "UPEND_REQUIRE_FULL_ISOLATION is set" not in done.stdout + done.stderr


@pytest.mark.django_db
def test_it_shows_web_and_workers_to_orchestrators() -> None:
    isolation.tell("query@one")
    shown = {one["process"]: one for one in Client().get("/health/ready").json()["isolation"]}
    assert shown.keys() == {"web", "query@one"}
    layer = shown["query@one"]["layers"][0]
    assert layer.keys() == {"name", "state", "remedy"}  # no address: anyone may read this
