"""The Celery application that both kinds of worker and beat run."""

import os
from typing import Any

import structlog
from celery import Celery
from celery.signals import setup_logging, task_postrun, task_prerun, worker_init, worker_shutdown

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("upend")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def speak_as_the_web_does(loglevel: int | str = "INFO", **_: Any) -> None:
    """Keep Celery from making handlers of its own."""
    from django.conf import settings  # noqa: PLC0415 - needs the environment to be complete

    from observability import logs  # noqa: PLC0415 - as above

    logs.configure(settings.LOGGING | {"level": loglevel})


@task_prerun.connect
def name_the_task(task: Any, **_: Any) -> None:
    """Begin every line of a task with its name; a run adds its query and its request."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(task=task.name)


@task_prerun.connect
@task_postrun.connect
def keep_the_connection(**_: Any) -> None:
    """Close the thread's connection where it is old or broken, as Django does between requests.

    A new one costs PostgreSQL a process, and what that process must learn of every table.
    """
    from django.db import close_old_connections  # noqa: PLC0415 - needs the settings

    close_old_connections()


@task_postrun.connect
def forget_the_task(**_: Any) -> None:
    """Leave nothing to the next task of the thread."""
    structlog.contextvars.clear_contextvars()


@worker_init.connect
def start_traces(**_: Any) -> None:
    """Send spans where that is asked for."""
    from observability import tracing  # noqa: PLC0415 - as above

    tracing.start("upend-worker")


@worker_init.connect
def answer_scrapes(**_: Any) -> None:
    """Serve this machine's metrics where the web process of none is."""
    from django.conf import settings  # noqa: PLC0415 - as above

    from observability import server  # noqa: PLC0415 - as above

    if settings.WORKER_METRICS_PORT:
        server.serve(port=settings.WORKER_METRICS_PORT, token=settings.METRICS_TOKEN)


@worker_shutdown.connect
def end_traces(**_: Any) -> None:
    """Send the last ones."""
    from observability import tracing  # noqa: PLC0415 - as above

    tracing.stop()
