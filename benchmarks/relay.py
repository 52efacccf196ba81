"""What the sandbox costs: entering it, layer by layer, and bytes that pass the relay.

`python -m benchmarks.relay`; needs Linux and nothing else. Reads from a server on loopback, from
one plain process and from one in the sandbox, in turns.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - connecting looks for it, and there is no reading in the sandbox
import json
import os
import socket
import statistics
import tempfile
import time
from pathlib import Path

from execution import sandbox
from execution.sandbox import Endpoint, Policy

TOTAL_BYTES = 2 * 2**30
CHUNK = b"x" * 2**20
ENTRIES = 40
ROUNDS = 5


def serve() -> Endpoint:
    """Start a process that sends `TOTAL_BYTES` to whoever connects."""
    listener = socket.create_server(("127.0.0.1", 0))
    parent = os.getpid()
    if os.fork() == 0:
        sandbox.tie_to(parent)
        while True:
            connection, _ = listener.accept()
            for _ in range(TOTAL_BYTES // len(CHUNK)):
                connection.sendall(CHUNK)
            connection.close()
    port = listener.getsockname()[1]
    listener.close()
    return Endpoint("127.0.0.1", port)


def in_copy(work: object, channel: sandbox.Channel | None = None) -> dict[str, float]:
    """Return what `work` returns in a copy of this process."""
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        os.write(write_end, json.dumps(work(write_end)).encode())  # type: ignore[operator]
        os._exit(0)
    os.close(write_end)
    if channel is not None:
        channel.started()
    with os.fdopen(read_end, "rb") as stream:
        found: dict[str, float] = json.loads(stream.read())
    os.wait()
    return found


def read(endpoint: Endpoint) -> dict[str, float]:
    """Read all that the server sends; return bytes per second."""
    buffer = bytearray(2**20)
    started, received = time.perf_counter(), 0
    with socket.create_connection((endpoint.host, endpoint.port)) as connection:
        while count := connection.recv_into(buffer):
            received += count
    return {"bytes_per_second": received / (time.perf_counter() - started)}


def confined(endpoint: Endpoint, relay: sandbox.Egress, *, reading: bool) -> dict[str, float]:
    """Enter in a copy of this process, and read there."""
    channel = relay.open((endpoint,))
    with tempfile.TemporaryDirectory() as scratch:

        def work(write_end: int) -> dict[str, float]:
            policy = Policy(scratch=scratch, endpoints=(endpoint,), descriptors=(write_end,))
            wall, cpu = time.perf_counter(), time.process_time()
            sandbox.enter(policy, channel.inner)
            found = {
                "enter_ms": (time.perf_counter() - wall) * 1000,
                "enter_cpu_ms": (time.process_time() - cpu) * 1000,
            }
            return found | (read(endpoint) if reading else {})

        found = in_copy(work, channel)
    channel.close()
    return found


def main() -> None:
    """Measure, and print medians."""
    endpoint = serve()
    relay = sandbox.Egress()
    plain, relayed = [], []
    for _ in range(ROUNDS):
        plain.append(in_copy(lambda _: read(endpoint))["bytes_per_second"])
        relayed.append(confined(endpoint, relay, reading=True)["bytes_per_second"])
    entries = [confined(endpoint, relay, reading=False) for _ in range(ENTRIES)]
    relay.close()
    load = Path("/proc/loadavg").read_text().split()[0]
    print(f"load {load}, {os.cpu_count()} processors")
    print(f"plain   {statistics.median(plain) / 2**20:7.0f} MiB/s")
    print(f"relayed {statistics.median(relayed) / 2**20:7.0f} MiB/s")
    for name in ("enter_ms", "enter_cpu_ms"):
        values = sorted(entry[name] for entry in entries)
        print(f"{name}: median {statistics.median(values):.1f}, least {values[0]:.1f}")


if __name__ == "__main__":
    main()
