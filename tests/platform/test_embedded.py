"""One command starts everything, survives crashes, and leaves nothing behind."""

from __future__ import annotations

import io
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from embedded import programs
from embedded.combined_log import CombinedLog
from embedded.installation import Installation
from embedded.keyring import Keyring
from embedded.lock import State
from embedded.parts import backing_services
from embedded.ports import PortBook
from embedded.postgres import Postgres
from embedded.process import Child, Identity
from embedded.program import Program
from embedded.running import RunningStack
from embedded.service import ServiceFailed, start_all, stop_all
from embedded.supervisor import ENDS_ALLOWED, RestartPolicy
from embedded.valkey import Valkey
from tests.patience import LONG_SECONDS, until

PARTS = {
    "s3",
    "valkey",
    "postgres",
    "web",
    "worker-query",
    "worker-catalog",
    "worker-upkeep",
    "beat",
}


@pytest.fixture
def machine(spare: RunningStack) -> RunningStack:
    return spare


@pytest.fixture
def valkey(tmp_path: Path) -> Generator[Valkey]:
    service = Valkey(
        tmp_path, run="test", keys=Keyring(tmp_path / "keys"), ports=PortBook(tmp_path / "ports")
    )
    yield service
    service.stop()


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if psutil.pid_exists(pid)}


def wait_gone(pids: set[int]) -> None:
    until(lambda: not alive(pids), "some of them live on")


def all_pids(stack: RunningStack) -> set[int]:
    assert stack.supervisor_pid is not None
    main = psutil.Process(stack.supervisor_pid)
    return {main.pid, *(child.pid for child in main.children(recursive=True))}


class TestPorts:
    def test_it_keeps_a_port_from_run_to_run(self, tmp_path: Path) -> None:
        port = PortBook(tmp_path / "ports").choose("web")
        assert PortBook(tmp_path / "ports").choose("web") == port

    def test_it_chooses_another_port_when_taken(self, tmp_path: Path) -> None:
        port = PortBook(tmp_path / "ports").choose("web")
        with socket.create_server(("127.0.0.1", port)):
            assert PortBook(tmp_path / "ports").choose("web") != port

    def test_it_prefers_the_usual_port(self, tmp_path: Path) -> None:
        usual = PortBook(tmp_path / "first").choose("any")
        assert PortBook(tmp_path / "ports").choose("web", preferred=[usual]) == usual

    def test_it_never_gives_one_port_twice(self, tmp_path: Path) -> None:
        book = PortBook(tmp_path / "ports")
        usual = book.choose("one")
        assert book.choose("two", preferred=[usual]) != usual

    def test_it_forgets_a_torn_file(self, tmp_path: Path) -> None:
        (tmp_path / "ports").write_text('{"web": ')
        assert PortBook(tmp_path / "ports").choose("web")


class TestSecrets:
    def test_it_makes_secrets_once_and_for_this_user_only(self, tmp_path: Path) -> None:
        keys = Keyring(tmp_path / "keys")
        paths = [keys.key_encryption_key(), keys.oidc_key()]
        first = [path.read_bytes() for path in paths] + [keys.text("secret-key").encode()]
        again = Keyring(tmp_path / "keys")
        paths = [again.key_encryption_key(), again.oidc_key()]
        assert [p.read_bytes() for p in paths] + [again.text("secret-key").encode()] == first
        for path in (tmp_path / "keys").iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


class TestChild:
    def test_it_leaves_a_stranger_with_a_reused_pid_alone(self, tmp_path: Path) -> None:
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
            (tmp_path / "run").mkdir()
            created = psutil.Process(other.pid).create_time()
            Identity(other.pid, created - 3600, "old").write(tmp_path / "run" / "x.pid")
            assert Child("x", tmp_path, run="new").recover() is False
            assert other.poll() is None
            assert not (tmp_path / "run" / "x.pid").exists()
            other.communicate(b"\n")

    def test_it_ends_what_a_killed_run_left(self, tmp_path: Path) -> None:
        left = Child("x", tmp_path, run="old")
        sleeper = "import subprocess, sys; subprocess.run(['sleep', '300'])"
        left.spawn([sys.executable, "-c", sleeper], os.environ)
        assert left.pid is not None
        main = psutil.Process(left.pid)
        while not main.children():
            time.sleep(0.02)
        (orphan,) = main.children()
        main.kill()
        assert left.exit_code is None or psutil.pid_exists(orphan.pid)
        assert Child("x", tmp_path, run="new").recover() is True
        wait_gone({orphan.pid})
        left.stop()

    def test_it_ends_a_process_that_ignores_the_signal(self, tmp_path: Path) -> None:
        child = Child("x", tmp_path, run="r")
        code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True)"
        child.spawn([sys.executable, "-c", f"{code}; time.sleep(300)"], os.environ)
        while not child.log.read_text():
            time.sleep(0.02)
        pid = child.pid
        child.stop(timeout_seconds=0.3)
        assert pid is not None
        assert not psutil.pid_exists(pid)


class TestServices:
    def test_it_names_the_log_of_a_service_that_cannot_start(
        self, installation_directory: Callable[[], Path]
    ) -> None:
        directory = installation_directory()
        postgres = Postgres(directory, run="test")
        (directory / "postgres").mkdir()
        (directory / "postgres" / "PG_VERSION").write_text("9.6\n")
        with pytest.raises(ServiceFailed, match=r"postgres ended three times.*postgres\.log"):
            start_all([postgres], timeout_seconds=LONG_SECONDS)

    def test_it_starts_again_on_the_same_port_after_a_crash(self, valkey: Valkey) -> None:
        start_all([valkey])
        before = valkey.environment
        assert valkey.pid is not None
        psutil.Process(valkey.pid).kill()
        while valkey.pid is not None:
            time.sleep(0.02)
        valkey.start()
        start_all([])
        assert valkey.environment == before

    def test_it_moves_to_another_port_when_taken_between_runs(
        self, tmp_path: Path, valkey: Valkey
    ) -> None:
        port = PortBook(tmp_path / "ports").choose("valkey")
        with socket.create_server(("127.0.0.1", port)):
            start_all([valkey])
            assert f":{port}/" not in valkey.environment["UPEND_BROKER_URL"]

    def test_it_keeps_data_when_postgres_is_killed(
        self, installation_directory: Callable[[], Path]
    ) -> None:
        directory = installation_directory()
        postgres = Postgres(directory, run="test")
        start_all([postgres])
        try:
            url = postgres.environment["UPEND_DATABASE_URL"]
            with psycopg.connect(url, autocommit=True) as link:
                link.execute("CREATE TABLE kept AS SELECT 42 AS answer")
            assert postgres.pid is not None
            killed = psutil.Process(postgres.pid)
            killed.kill()
            killed.wait(10)  # a zombie still holds its pid, and PostgreSQL looks at the pid
            again = Postgres(directory, run="again")
            start_all([again])
            with psycopg.connect(url) as link:
                assert link.execute("SELECT answer FROM kept").fetchone() == (42,)
            again.stop()
        finally:
            postgres.stop()

    @pytest.mark.parametrize(
        ("setting", "value", "replaced"),
        [
            ("UPEND_DATABASE_URL", "postgresql://db.example/upend", "postgres"),
            ("UPEND_BROKER_URL", "redis://broker.example/0", "valkey"),
            ("UPEND_S3_ENDPOINT", "https://s3.example", "s3"),
        ],
    )
    def test_it_does_not_start_what_a_setting_replaces(
        self, tmp_path: Path, setting: str, value: str, replaced: str
    ) -> None:
        keys, ports = Keyring(tmp_path / "keys"), PortBook(tmp_path / "ports")
        services = backing_services(
            tmp_path, run="r", environment={setting: value}, keys=keys, ports=ports
        )
        assert {s.name for s in services} == {"s3", "valkey", "postgres"} - {replaced}
        stop_all(services)


class TestRestartPolicy:
    def test_it_restarts_at_once_then_waits_longer_then_gives_up(self) -> None:
        policy = RestartPolicy()
        delays = [policy.delay_after_end(float(second)) for second in range(ENDS_ALLOWED + 1)]
        assert delays[0] == 0
        assert delays[-1] is None
        waits = [delay for delay in delays[:-1] if delay is not None]
        assert waits == sorted(waits)

    def test_it_forgives_ends_long_ago(self) -> None:
        policy = RestartPolicy()
        assert all(policy.delay_after_end(1000.0 * n) == 0 for n in range(20))


@pytest.mark.stack
class TestUp:
    def test_it_starts_every_part_and_serves(self, machine: RunningStack) -> None:
        assert set(machine.processes) == PARTS
        assert httpx.get(f"{machine.url}/accounts/login/", timeout=60).status_code < 500
        log = machine.log.read_text()
        ready = [line.split()[2] for line in log.splitlines() if line.endswith(" is ready")]
        assert ready[-len(PARTS) :] == [
            *("s3", "valkey", "postgres"),
            *("web", "worker-query", "worker-catalog", "worker-upkeep", "beat"),
        ]

    def test_it_keeps_its_secrets_to_this_user(self, machine: RunningStack) -> None:
        for path in (machine.directory / "run" / "state.json", *machine.directory.glob("keys/*")):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_it_says_so_when_it_already_runs_there(self, machine: RunningStack) -> None:
        second = subprocess.run(
            [sys.executable, "-m", "django", "up"],
            check=False,
            env={**programs.base_environment(), "UPEND_DATA_DIR": str(machine.directory)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert second.returncode == 1
        assert f"Upend already runs at {machine.url}" in second.stderr
        assert set(machine.processes) == PARTS

    @pytest.mark.parametrize("part", ["valkey", "worker-query", "web", "postgres", "s3", "beat"])
    def test_it_restarts_a_part_that_was_killed(self, machine: RunningStack, part: str) -> None:
        until(lambda: part in machine.processes, "it did not come back from the part before")
        killed = machine.kill(part)
        assert machine.wait_restarted(part, killed) != killed
        until(lambda: f"{part} is back" in machine.log.read_text(), "nobody said so")

    def test_it_recovers_from_a_killed_run(self, machine: RunningStack) -> None:
        pids = all_pids(machine)
        assert machine.supervisor_pid is not None
        os.kill(machine.supervisor_pid, signal.SIGKILL)
        machine.start(LONG_SECONDS)  # 7 s when idle; a bound that holds beside other work
        wait_gone(pids)
        assert set(machine.processes) == PARTS

    def test_it_stops_everything_on_ctrl_c(self, machine: RunningStack) -> None:
        pids = all_pids(machine)
        assert machine.supervisor_pid is not None
        os.kill(machine.supervisor_pid, signal.SIGINT)
        wait_gone(pids - {machine.supervisor_pid})
        while machine.supervisor_pid is not None:
            time.sleep(0.05)
        assert not machine.processes
        assert not list(machine.directory.glob("run/*.pid"))
        assert "stopped" in machine.log.read_text().splitlines()[-1]


def test_it_says_that_it_serves_no_longer_before_its_first_part_ends(tmp_path: Path) -> None:
    machine = Installation(tmp_path, given={}, log=CombinedLog(io.StringIO(), colour=False))
    machine._lock.acquire()
    State(os.getpid(), "http://127.0.0.1:8000", {}).write(tmp_path)
    ends = "trap 'ls run > seen; exit' TERM; echo ready; while :; do sleep 0.1; done"
    shell = ["sh", "-c", f"cd {tmp_path}; {ends}"]
    part = Program("part", tmp_path, run="r" * 8, command=shell, settings=os.environ)
    machine._started.append(part)
    part.start()
    while "ready" not in part.log.read_text():
        time.sleep(0.02)
    assert machine.stop()
    seen = (tmp_path / "seen").read_text()
    assert "up.lock" in seen
    assert "state.json" not in seen


def test_it_waits_for_no_broker_that_says_nothing_before_it_looks_at_the_others(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        worker = programs.worker(
            "catalog",
            directory=tmp_path,
            run="r" * 8,
            settings={"UPEND_BROKER_URL": url},
            concurrency=1,
        )
        worker.command = [sys.executable, "-c", "import time; time.sleep(60)"]
        worker.start()
        try:
            assert not worker.is_ready()
        finally:
            worker.stop()
