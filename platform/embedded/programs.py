"""Upend's own processes, as command lines: the one place that names its entrances."""

from __future__ import annotations

import os
import signal
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from celery import Celery
from kombu.exceptions import OperationalError
from redis import RedisError

from embedded.program import Program

SOURCE = Path(__file__).resolve().parent.parent.parent
"""The root of the source tree; without meaning where Upend is installed as a wheel."""
QUERY_SLOTS = int(os.environ.get("UPEND_QUERY_SLOTS") or max(6, min(32, 3 * (os.cpu_count() or 2))))
"""Queries at a time: threads of one process, which share its warm engines and sessions. Two thirds
of the slots are for small queries."""
CATALOG_THREADS = 4
"""Catalogs that are written to at a time. The work is done by processes of their own, so that a
long job of one catalog does not hold up the rows that come for another."""
UPKEEP_THREADS = 2
"""One for sweeps and one for exports."""
PONG_SECONDS = 3.0
WEB_THREADS = 64
"""Per web process. Most of them wait for queries to end and hold nothing while they do."""


def base_environment() -> dict[str, str]:
    """Return this process's environment, with what Upend's processes need to be found."""
    roots = [str(SOURCE), str(SOURCE / "platform")] if (SOURCE / "manage.py").exists() else []
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [*roots, *inherited])),
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }


def django(
    name: str, *arguments: str, directory: Path, run: str, settings: Mapping[str, str]
) -> Program:
    """Return a one-off management command."""
    command = [sys.executable, "-m", "django", *arguments]
    return Program(name, directory, run=run, command=command, settings=settings)


def web(*, directory: Path, run: str, settings: Mapping[str, str], host: str, port: int) -> Program:
    """Return the web process: console, API and file redirects."""
    command = [sys.executable, "-m", "gunicorn", "config.wsgi", f"--bind={host}:{port}"]
    command += ["--worker-class=gthread", "--workers=2", "--graceful-timeout=5"]
    command += [f"--threads={WEB_THREADS}"]
    command.append("--logger-class=config.web_log.WebLog")
    if Path("/dev/shm").is_dir():  # noqa: S108 - heartbeat files must not wait for a disk
        command.append("--worker-tmp-dir=/dev/shm")
    reached = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - not bound here
    check = partial(_answers, f"http://{reached}:{port}/health/ready")
    counted = _counted(directory, settings)
    return Program("web", directory, run=run, command=command, settings=counted, check=check)


def worker(
    queue: str,
    *,
    directory: Path,
    run: str,
    settings: Mapping[str, str],
    concurrency: int,
    pool: str = "prefork",
) -> Program:
    """Return the Celery worker of one queue."""
    node = f"{queue}@{os.uname().nodename}-{run[:6]}"
    command = _celery("worker", f"--queues={queue}", f"--hostname={node}")
    command += [f"--pool={pool}", f"--concurrency={concurrency}"]
    command += ["--without-gossip", "--without-mingle"]
    check = partial(_pongs, settings["UPEND_BROKER_URL"], node)
    return Program(
        f"worker-{queue}",
        directory,
        run=run,
        command=command,
        settings=_counted(directory, settings),
        check=check,
        # Warm shutdown first; a query that still runs is taken up again from its row.
        stop_signals=(signal.SIGTERM, signal.SIGQUIT),
        death_signal=signal.SIGQUIT,
    )


def beat(*, directory: Path, run: str, settings: Mapping[str, str]) -> Program:
    """Return the process that sends what is scheduled."""
    schedule = directory / "run" / "beat-schedule"
    command = _celery("beat", f"--schedule={schedule}", "--pidfile=", loglevel="WARNING")
    return Program("beat", directory, run=run, command=command, settings=settings)


def all_programs(
    *, directory: Path, run: str, settings: Mapping[str, str], host: str, port: int
) -> Sequence[Program]:
    """Return web, the workers and beat, in the order in which they are checked."""
    of_queue = partial(worker, directory=directory, run=run, settings=settings)
    return [
        web(directory=directory, run=run, settings=settings, host=host, port=port),
        of_queue("query", concurrency=QUERY_SLOTS, pool="threads"),
        of_queue("catalog", concurrency=CATALOG_THREADS, pool="threads"),
        of_queue("upkeep", concurrency=UPKEEP_THREADS, pool="threads"),
        beat(directory=directory, run=run, settings=settings),
    ]


def _celery(*arguments: str, loglevel: str = "INFO") -> list[str]:
    return [
        sys.executable,
        "-m",
        "celery",
        "--quiet",
        "--app=config",
        *arguments,
        f"--loglevel={loglevel}",
    ]


def _counted(directory: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Return `settings` of a process whose numbers are scraped with those of the others."""
    return {"UPEND_METRICS_DIR": str(directory / "run" / "metrics"), **settings}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own address
            return True
    except OSError:  # refused, or an answer that is an error
        return False


def _pongs(broker_url: str, node: str) -> bool:
    """Ask a worker whether it lives, for so long and no longer.

    The client tries for ever to reach a broker that went away meanwhile; who asks here is the one
    that would start the broker again.
    """
    answers: SimpleQueue[bool] = SimpleQueue()
    asking = Thread(target=lambda: answers.put(_answers_ping(broker_url, node)), daemon=True)
    asking.start()
    asking.join(PONG_SECONDS)
    return not answers.empty() and answers.get()


def _answers_ping(broker_url: str, node: str) -> bool:
    with Celery(broker=broker_url, set_as_current=False) as app:
        try:
            return bool(app.control.ping(destination=[node], timeout=0.5))
        except (OSError, OperationalError, RedisError):
            return False
