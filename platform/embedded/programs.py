"""Upend's own processes, as command lines: the one place that names its entrances."""

from __future__ import annotations

import os
import signal
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError

from celery import Celery
from kombu.exceptions import OperationalError
from redis import RedisError

from embedded.program import Program

SOURCE = Path(__file__).resolve().parent.parent.parent
"""The root of the source tree; without meaning where Upend is installed as a wheel."""


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
    command += ["--worker-class=gthread", "--workers=2", "--threads=8", "--graceful-timeout=5"]
    command += ["--access-logfile=-", "--access-logformat=%(m)s %(U)s %(s)s %(M)sms"]
    if Path("/dev/shm").is_dir():  # noqa: S108 - heartbeat files must not wait for a disk
        command.append("--worker-tmp-dir=/dev/shm")
    check = partial(_answers, f"http://{host}:{port}/health/live")
    return Program("web", directory, run=run, command=command, settings=settings, check=check)


def worker(
    queue: str, *, directory: Path, run: str, settings: Mapping[str, str], concurrency: int
) -> Program:
    """Return the Celery worker of one queue."""
    node = f"{queue}@{os.uname().nodename}-{run[:6]}"
    command = _celery("worker", f"--queues={queue}", f"--hostname={node}")
    command += [f"--concurrency={concurrency}", "--without-gossip", "--without-mingle"]
    check = partial(_pongs, settings["UPEND_BROKER_URL"], node)
    return Program(
        f"worker-{queue}",
        directory,
        run=run,
        command=command,
        settings=settings,
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
    """Return web, both workers and beat, in the order in which they are checked."""
    return [
        web(directory=directory, run=run, settings=settings, host=host, port=port),
        worker("query", directory=directory, run=run, settings=settings, concurrency=2),
        worker("catalog", directory=directory, run=run, settings=settings, concurrency=1),
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


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own address
            return True
    except HTTPError as error:
        return error.code < HTTPStatus.INTERNAL_SERVER_ERROR
    except OSError:
        return False


def _pongs(broker_url: str, node: str) -> bool:
    with Celery(broker=broker_url, set_as_current=False) as app:
        try:
            return bool(app.control.ping(destination=[node], timeout=0.5))
        except (OSError, OperationalError, RedisError):
            return False
