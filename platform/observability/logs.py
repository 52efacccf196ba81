"""Logs: one event a line, with the request it belongs to and without secrets.

JSON for machines, text for the terminal of `manage.py up`. What Django, Celery, gunicorn and
libraries say goes the same way, so that it is redacted too.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from observability.redaction import redact

HANDLER = "upend"
QUIET = {
    "django.request": logging.ERROR,  # a 404 is in the request's own line
    "celery.app.trace": logging.WARNING,  # sweeps run every two seconds
    "celery.worker.strategy": logging.WARNING,
    "gunicorn.access": logging.WARNING,  # the middleware says it, with the request's id
    "botocore": logging.INFO,  # below, it quotes whole requests: keys, data keys, contents
    "httpcore": logging.INFO,
    "httpx": logging.WARNING,  # a line for each call
    "urllib3": logging.INFO,
}
"""The least that these say, however much else is asked for."""


def configure(wanted: dict[str, Any]) -> None:
    """Set up logging as Django's `LOGGING_CONFIG`; `wanted` has `format` and `level`."""
    renderer = _renderer(str(wanted["format"]))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_known(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_known(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.set_name(HANDLER)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [h for h in root.handlers if h.get_name() != HANDLER] + [handler]
    level = wanted["level"]
    root.setLevel(level.upper() if isinstance(level, str) else level)
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)


def adopt(name: str) -> None:
    """Have a library's logger speak through ours, in place of the handlers it made itself."""
    logger = logging.getLogger(name)
    logger.handlers, logger.propagate = [], True


def _known() -> list[Processor]:
    """Return what every line has: time, level, logger, and the request it belongs to."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_of_exception,
    ]


def _name_of_exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Keep the class of an exception beside its traceback, to search for."""
    given = event.get("exc_info")
    found = sys.exc_info() if given is True else given
    if isinstance(found, BaseException):
        event["exception_class"] = type(found).__name__
    elif isinstance(found, tuple) and found[0] is not None:
        event["exception_class"] = found[0].__name__
    return event


def _renderer(form: str) -> Processor:
    if form == "json":
        return structlog.processors.JSONRenderer(sort_keys=True, default=str)
    return structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
