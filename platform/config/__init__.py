"""The top of the house: settings, URLs, and the entrances of the processes."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
