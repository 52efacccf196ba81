"""What code that has broken out of DuckDB finds inside the sandbox: nothing to reach."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from django.conf import settings

from catalog import storage
from execution import sandbox
from execution.engine import reach
from execution.engine.domain import path_of
from execution.engine.filecache import FileCache, Source
from execution.engine.process import Engine
from execution.sandbox import Policy, State
from tests.patience import until, until_ended

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux's")

SCRIPT = Path(__file__).with_name("confined.py")
ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
LAYERS = ("process", "user", "network", "files", "system calls")


@dataclass
class Confined:
    """Runs code in the sandbox as root's engines run, or as those of an unprivileged worker."""

    uid: int | None
    scratch: Path
    egress: sandbox.Egress
    endpoints: tuple[sandbox.Endpoint, ...]

    def start(self, code: str, policy: Policy, behind: bool = False) -> subprocess.Popen[bytes]:
        channel = self.egress.open(self.endpoints)
        job = {
            "uid": self.uid,
            "policy": policy.as_dict(),
            "handover": channel.inner.fileno(),
            "code": code,
            "behind": behind,
        }
        process = subprocess.Popen(
            [sys.executable, "-I", str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={},
            cwd="/",
            pass_fds=(channel.inner.fileno(), *(policy.descriptors or ())),
        )
        channel.started()
        assert process.stdin is not None
        process.stdin.write(json.dumps(job).encode() + b"\n")
        process.stdin.flush()
        self.channel = channel
        return process

    def document(self, code: str, **changes: Any) -> dict[str, Any]:
        held = {"scratch": str(self.scratch), "endpoints": self.endpoints, "descriptors": ()}
        policy = Policy(**held | changes)
        process = self.start(code, policy)
        output, _ = process.communicate(timeout=300)
        self.channel.close()
        assert process.returncode == 0
        found: dict[str, Any] = json.loads(output)
        return found

    def run(self, code: str, **changes: Any) -> Any:
        return self.document(code, **changes)["answer"]


@pytest.fixture
def egress() -> Generator[sandbox.Egress]:
    relay = sandbox.Egress()
    yield relay
    relay.close()


@pytest.fixture(params=["root", "unprivileged"])
def confined(request: pytest.FixtureRequest, egress: sandbox.Egress) -> Generator[Confined]:
    is_root = os.geteuid() == 0
    if request.param == "root" and not is_root:
        pytest.skip("only root can give engines a user of their own")
    uid = NOBODY if is_root and request.param == "unprivileged" else None
    directory = Path(tempfile.mkdtemp(prefix="upend-sandbox-"))
    if uid is not None:
        os.chown(directory, uid, uid)
    yield Confined(uid, directory, egress, reach.hosted())
    shutil.rmtree(directory)


def test_it_reports_every_layer(confined: Confined) -> None:
    report = sandbox.Report.of_list(confined.document("answer = 1")["report"])
    assert tuple(layer.name for layer in report.layers) == LAYERS
    assert report.is_full


def test_it_writes_in_its_scratch_directory_and_nowhere_else(confined: Confined) -> None:
    code = f"""
scratch = {str(confined.scratch)!r}
answer = [attempt(lambda: open(p, "w").write("x")) for p in
          (scratch + "/spill", scratch + "/../beside", "/tmp/x", "/dev/shm/x", "/etc/hosts")]
"""
    allowed, *denied = confined.run(code)
    assert allowed == "allowed"
    assert set(denied) <= {"EACCES", "EPERM"}


def test_it_reads_a_copy_that_it_was_handed_and_cannot_change_it(confined: Confined) -> None:
    content = b"PAR1" * 1000
    bucket_gives = Source(("file",), len(content), lambda to: str(to.write(content)), lambda: "")
    cache = FileCache(10**6)
    until(lambda: cache.copy(bucket_gives, seconds=0) is not None, "it was not copied")
    copy = cache.copy(bucket_gives, seconds=0)
    assert copy is not None
    path = path_of(copy.fileno())
    code = f"""
answer = [attempt(lambda: open({path!r}, "rb").read(4) == b"PAR1" or 1 / 0),
          attempt(lambda: os.write(os.open({path!r}, os.O_RDWR), b"x")),
          attempt(lambda: os.write({copy.fileno()}, b"x")),
          attempt(lambda: os.truncate({path!r}, 0)),
          attempt(lambda: os.ftruncate(os.open({path!r}, os.O_RDWR), 0)),
          attempt(lambda: os.fchmod({copy.fileno()}, 0o666)),
          attempt(lambda: os.listdir("/proc/self/fd"))]
"""
    read, *denied = confined.run(code, descriptors=(copy.fileno(),))
    assert read == "allowed"
    assert "allowed" not in denied
    assert Path(path).read_bytes() == content
    cache.close()


def test_it_reads_no_file_of_the_host(confined: Confined) -> None:
    other = Path(tempfile.mkdtemp(prefix="upend-sandbox-other-"))
    (other / "spill").write_text("another's rows")
    (other / "spill").chmod(0o644)
    other.chmod(0o755)
    paths = [
        "/etc/passwd", "/etc/shadow", str(ROOT / "README.md"), str(ROOT / "manage.py"),
        str(other / "spill"), "/proc/self/environ", "/proc/1/cmdline", "/proc/self/mem",
        f"/proc/{os.getpid()}/environ", f"/proc/{os.getpid()}/mem", sys.executable,
    ]  # fmt: skip
    lists = ["/", "/tmp", "/proc", str(ROOT)]
    code = f"""
answer = [attempt(lambda: open(p, "rb").read(1)) for p in {paths!r}]
answer += [attempt(lambda: os.listdir(p)) for p in {lists!r}]
"""
    answers = confined.run(code)
    shutil.rmtree(other)
    assert "allowed" not in answers
    assert set(answers) <= {"EACCES", "EPERM", "ENOENT"}


def test_it_reaches_no_host_but_the_object_store(confined: Confined) -> None:
    broker = urlsplit(settings.BROKER_URL)
    database = settings.DATABASES["default"]
    targets = [
        (broker.hostname, broker.port or 6379),
        ("127.0.0.1", int(database["PORT"] or 5432)),
        ("127.0.0.1", 22),
        ("169.254.169.254", 80),  # where clouds keep a machine's credentials
        ("1.1.1.1", 53),
        ("10.0.0.1", confined.endpoints[0].port),  # the store's port elsewhere
    ]
    code = f"""
answer = [attempt(lambda: socket.create_connection(tuple(t), timeout=60)) for t in {targets!r}]
for kind in ((socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_UNIX, socket.SOCK_STREAM),
             (socket.AF_NETLINK, socket.SOCK_RAW), (socket.AF_PACKET, socket.SOCK_RAW),
             (socket.AF_INET, socket.SOCK_RAW)):
    answer.append(attempt(lambda: socket.socket(*kind)))
"""
    answers = confined.run(code)
    assert "allowed" not in answers
    assert set(answers) <= {"EACCES", "ENETUNREACH", "ECONNREFUSED", "EPERM"}


def test_it_listens_to_nobody(confined: Confined) -> None:
    code = """
s = socket.socket()
answer = [attempt(lambda: s.bind(("127.0.0.1", 0))), attempt(lambda: s.listen())]
"""
    assert confined.run(code) == ["ENOSYS", "ENOSYS"]


def test_it_fetches_from_the_object_store(confined: Confined) -> None:
    storage.hosted().ensure_bucket()
    storage.hosted().put_bytes("sandbox/object", b"x" * 300_000)
    url = urlsplit(storage.hosted().presign("sandbox/object", valid_seconds=60))
    assert (url.hostname, url.port) == (
        confined.endpoints[0].host,
        confined.endpoints[0].port,
    )
    path = f"{url.path}?{url.query}"
    code = f"answer = fetch({url.hostname!r}, {url.port!r}, {path!r}, {url.netloc!r})"
    answer = confined.run(code)
    assert answer.startswith("HTTP/1.1 200 ")
    assert answer.endswith("\r\n\r\n" + "x" * 300_000)


def test_it_finds_named_endpoints_without_a_resolver(confined: Confined) -> None:
    confined.endpoints = (sandbox.Endpoint("store.invalid", 443),)
    code = """
found = socket.getaddrinfo(b"store.invalid", 443, type=socket.SOCK_STREAM)
answer = [found[0][4][0], attempt(lambda: socket.getaddrinfo(b"elsewhere.invalid", 443)),
          socket.create_connection((found[0][4][0], 443), timeout=60).recv(1).decode(),
          attempt(lambda: open("/etc/hosts", "w"))]
"""
    address, other, received, hosts = confined.run(code)
    assert address == "127.77.0.1"
    assert other != "allowed"
    assert received == ""  # the relay could not find it outside either
    assert hosts in {"EACCES", "EPERM"}


def test_it_dials_the_addresses_that_were_checked_and_asks_no_resolver(confined: Confined) -> None:
    (store,) = confined.endpoints
    confined.endpoints = (sandbox.Endpoint("store.invalid", store.port, ("127.0.0.1",)),)
    code = f"answer = fetch('store.invalid', {store.port}, '/', 'store.invalid')"
    assert confined.run(code).startswith("HTTP/1.1 ")


def test_it_reaches_only_the_store_of_its_own_channel(confined: Confined) -> None:
    (store,) = confined.endpoints
    code = f"answer = attempt(lambda: socket.create_connection({(store.host, store.port)!r}))"
    assert confined.run(code) == "allowed"
    confined.endpoints = (sandbox.Endpoint("127.0.0.1", store.port + 1),)
    assert confined.run(code) in {"EACCES", "ECONNREFUSED", "ENETUNREACH"}


SYSTEM_CALLS = """
own, parent = os.getpid(), os.getppid()
local = (ctypes.c_char * 16)()
vector = (ctypes.c_long * 2)(ctypes.addressof(local), 16)
answer = {
    "execve": attempt(lambda: os.execv("/bin/true", ["true"])),
    "fork": attempt(os.fork),
    "posix_spawn": attempt(lambda: os.posix_spawn("/bin/true", ["true"], {})),
    "signal to the parent": attempt(lambda: os.kill(parent, 0)),
    "memfd": attempt(lambda: os.memfd_create("x")),
    "code": attempt(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)),
    "limits of the parent": attempt(lambda: resource.prlimit(parent, resource.RLIMIT_AS)),


}
if os.uname().machine == "x86_64":
    answer |= {name: call(number, *arguments) for name, number, arguments in (
        ("ptrace", 101, (16, parent, 0, 0)),
        ("process_vm_readv", 310, (parent, vector, 1, vector, 1, 0)),
        ("mount", 165, (0, 0, 0, 0, 0)), ("unshare", 272, (0x10000000,)), ("setns", 308, (0, 0)),
        ("bpf", 321, (0, 0, 0)), ("perf_event_open", 298, (0, 0, 0, 0, 0)), ("keyctl", 250, (0,)),
        ("userfaultfd", 323, (0,)), ("io_uring_setup", 425, (1, 0)), ("clone3", 435, (0, 0)),
        ("vfork", 58, ()), ("kexec_load", 246, (0, 0, 0, 0)), ("init_module", 175, (0, 0, 0)),
        ("open_by_handle_at", 304, (0, 0, 0)), ("setuid", 105, (0,)), ("chroot", 161, (b"/",)),
        ("pidfd_open", 434, (parent, 0)), ("personality", 135, (0,)),
    )}
"""


def test_it_starts_nothing_and_touches_no_other_process(confined: Confined) -> None:
    answers = confined.run(SYSTEM_CALLS)
    assert not {name for name, answer in answers.items() if answer == "allowed"}
    assert set(answers.values()) <= {"ENOSYS", "EPERM", "EACCES"}


def test_it_still_starts_threads(confined: Confined) -> None:
    code = """
import _thread
lock = _thread.allocate_lock(); lock.acquire()
_thread.start_new_thread(lock.release, ())
answer = lock.acquire(timeout=60)
"""
    assert confined.run(code) is True


def test_it_keeps_no_descriptor_that_was_not_named(confined: Confined) -> None:
    code = "answer = [fd for fd in range(256) if attempt(lambda: os.fstat(fd)) == 'allowed']"
    assert confined.run(code) == [0, 1, 2]


def test_it_has_no_environment_and_no_rights(confined: Confined) -> None:
    code = "answer = [dict(os.environ), os.getuid()]"
    environment, uid = confined.run(code)
    assert environment in ({}, {"LC_CTYPE": "C.UTF-8"})
    assert uid == NOBODY if confined.uid else uid != 0 or os.geteuid() != 0


def test_it_has_hard_limits_on_memory_and_files(confined: Confined) -> None:
    code = f"""
sandbox.limit(memory_bytes=2**28, temp_bytes=1000, cpu_seconds=5)
answer = [attempt(lambda: bytearray(4 * 2**30)),
          attempt(lambda: os.write(os.open({str(confined.scratch / "big")!r}, 65), b"x" * 1000)),
          attempt(lambda: os.write(os.open({str(confined.scratch / "big")!r}, 1025), b"x"))]
"""
    assert confined.run(code) == ["MemoryError", "allowed", "EFBIG"]


def test_it_dies_with_its_parent(confined: Confined) -> None:
    policy = Policy(scratch=str(confined.scratch), endpoints=confined.endpoints)
    parent = confined.start("answer = os.getpid()", policy, behind=True)
    assert parent.stdout is not None
    child = psutil.Process(json.loads(parent.stdout.readline())["answer"])
    assert child.is_running()
    parent.kill()
    parent.communicate()
    try:
        until_ended(child.pid)
    finally:
        confined.channel.close()


@pytest.mark.parametrize("layer", LAYERS)
def test_it_says_which_layer_is_missing(confined: Confined, layer: str) -> None:
    found = confined.document("answer = 1", without=(layer,))
    report = sandbox.Report.of_list(found["report"])
    states = {one.name: one.state for one in report.layers}
    expected = State.WEAKER if layer == "network" else State.ABSENT
    assert states.pop(layer) is expected
    refused = confined.document("answer = 1", without=(layer,), require_full=True)
    assert layer in refused["incomplete"]


def test_it_narrows_the_hosts_network_to_one_port_where_it_has_no_other(
    confined: Confined,
) -> None:
    broker = urlsplit(settings.BROKER_URL)
    endpoint = confined.endpoints[0]
    code = f"""
broker, store = {(broker.hostname, broker.port)!r}, {(endpoint.host, endpoint.port)!r}
answer = [attempt(lambda: socket.create_connection(broker, timeout=60)),
          attempt(lambda: socket.create_connection(store, timeout=60)),
          attempt(lambda: socket.socket().sendto(b"x", 0x20000000, broker))]  # MSG_FASTOPEN
"""
    assert confined.run(code, without=("network",)) == ["EACCES", "allowed", "EPERM"]


@pytest.fixture
def engine() -> Generator[Engine]:
    found = Engine()
    yield found
    found.close()


def entered(process: psutil.Process, is_confined: Callable[[str], bool]) -> str:
    """Return the kernel's status of a process once it has entered the sandbox."""
    for _ in range(2400):
        status = Path(f"/proc/{process.pid}/status").read_text()
        if is_confined(status):
            return status
        try:
            process.wait(0.05)
        except psutil.TimeoutExpired:
            continue
        break
    raise AssertionError(status)


def test_it_holds_a_waiting_engine_before_it_has_a_job(engine: Engine) -> None:
    process = psutil.Process(engine.pid)
    status = entered(process, lambda text: "Seccomp:\t2" in text)
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status
    if os.geteuid() == 0:
        assert process.uids().real != 0
        assert process.environ() == {"LANG": "C.UTF-8", "TZ": "UTC"}
        ours, theirs = (Path(f"/proc/{p}/ns/net").readlink() for p in ("self", engine.pid))
        assert ours != theirs


def test_it_replaces_a_relay_that_died(confined: Confined) -> None:
    assert confined.run("answer = 1") == 1
    assert confined.egress.pid is not None
    relay = psutil.Process(confined.egress.pid)
    relay.kill()
    endpoint = confined.endpoints[0]
    until_ended(relay.pid)
    code = f"""
store = {(endpoint.host, endpoint.port)!r}
answer = attempt(lambda: socket.create_connection(store).sendall(b"x"))
"""
    assert confined.run(code) == "allowed"
