"""The web process's entrance."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

from execution.bind import pool  # noqa: E402 - needs the application to be set up

# Planning waits for no start: the binders load their extensions while the first request arrives.
pool.shared().warm()
