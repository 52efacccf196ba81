"""Has gunicorn speak through Upend's own logging; requests are logged by our middleware."""

from __future__ import annotations

from typing import Any

from gunicorn.glogging import Logger

from config import environment
from observability import logs


class WebLog(Logger):  # type: ignore[misc] # gunicorn ships no types
    """What `--logger-class` names: the same lines, redacted, in the form that was asked for."""

    def setup(self, cfg: Any) -> None:
        """Hand gunicorn's own loggers over."""
        super().setup(cfg)
        logs.configure({"format": environment.text("LOG_FORMAT", "json"), "level": "INFO"})
        logs.adopt("gunicorn.error")
