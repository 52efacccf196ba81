"""The web process's entrance."""

import gc
import os
from pathlib import Path

from django.core.wsgi import get_wsgi_application

from config import environment

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Many threads wait for queries, few talk to the database at a time.
os.environ.setdefault("UPEND_DATABASE_POOL_SIZE", "20")
# Several web processes serve one port: whichever Prometheus meets must answer for all.
data_directory = Path(environment.text("DATA_DIR", str(environment.ROOT / ".upend")))
os.environ.setdefault("UPEND_METRICS_DIR", str(data_directory / "run" / "metrics"))
application = get_wsgi_application()

from django.urls import get_resolver  # noqa: E402 - needs the application to be set up

from execution import isolation  # noqa: E402 - as above
from execution.bind import pool  # noqa: E402 - as above
from observability import tracing  # noqa: E402 - as above

tracing.start("upend-web")
isolation.announce()

# Planning waits for no start: the binders load their extensions while the first request arrives.
pool.shared().warm()

# All views are loaded, and all that is loaded stays: a collection that looked at each of its two
# hundred thousand objects would hold up every thread for a tenth of a second, time and again.
assert get_resolver().url_patterns  # noqa: S101 - this loads them
gc.collect()
gc.freeze()
