"""Every number that Upend's processes count, in one list; docs/reference/metrics.md explains each.

Labels are from closed lists (routes, states, codes, steps): never a person, a table or a text.
"""

from __future__ import annotations

from observability import registry  # isort: skip - decides where prometheus_client keeps numbers

from prometheus_client import Counter, Gauge, Histogram

from observability.registry import at_scrape, exposition

__all__ = ["at_scrape", "exposition", "registry"]

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SLOW = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0)

HTTP_REQUESTS = Counter(
    "upend_http_requests_total", "Answered requests.", ("method", "route", "status")
)
HTTP_SECONDS = Histogram(
    "upend_http_request_duration_seconds",
    "Time to the first byte of an answer; streams and long waits included.",
    ("method", "route"),
    buckets=SLOW,
)
PROBLEMS = Counter("upend_problems_total", "Refusals and failures told, by code.", ("code",))

PLAN_STEP_SECONDS = Histogram(
    "upend_plan_step_duration_seconds", "Time of each step of planning.", ("step",), buckets=FAST
)
PLAN_SECONDS = Histogram(
    "upend_plan_duration_seconds", "Time of planning, by outcome.", ("outcome",), buckets=FAST
)
SQL_REFUSALS = Counter("upend_sql_refusals_total", "Texts the gate refused.", ("reason",))
BINDER_BUSY = Counter("upend_binder_busy_total", "Plans refused since all binders were at work.")

QUERIES_SUBMITTED = Counter(
    "upend_queries_submitted_total", "Accepted queries.", ("place", "priority")
)
QUERIES_ENDED = Counter(
    "upend_queries_ended_total", "Queries by how they ended.", ("state", "place", "priority")
)
QUERY_FAILURES = Counter("upend_query_failures_total", "Failed runs by problem code.", ("code",))
QUERY_RETRIES = Counter("upend_query_retries_total", "Runs queued again, by reason.", ("reason",))
RUN_STEP_SECONDS = Histogram(
    "upend_run_step_duration_seconds", "Time of each step of a run.", ("step",), buckets=SLOW
)

ENGINE_STARTS = Counter("upend_engine_starts_total", "Engine processes started.")
ENGINE_ENDS = Counter("upend_engine_ends_total", "Engine processes ended, by reason.", ("reason",))
ENGINE_SESSIONS = Counter(
    "upend_engine_sessions_total",
    "Whether a run found a kept engine that covers it.",
    ("outcome",),
)
ENGINES_AHEAD = Counter(
    "upend_engines_ahead_total",
    "Engines that were given a slice ahead of their query.",
    ("outcome",),
)
ENGINES_SPARE = Gauge(
    "upend_engines_spare", "Warm engines that wait for a run.", multiprocess_mode="livesum"
)
ENGINES_KEPT = Gauge(
    "upend_engines_kept", "Engines that wait with a slice.", multiprocess_mode="livesum"
)

FILE_CACHE_LOOKUPS = Counter(
    "upend_file_cache_lookups_total",
    "Files of slices by whether the worker had a copy.",
    ("outcome",),
)
FILE_CACHE_BYTES = Gauge(
    "upend_file_cache_bytes", "Size of the copies of files.", multiprocess_mode="livesum"
)

RESULT_CACHE = Counter(
    "upend_result_cache_lookups_total", "Submitted queries by result cache outcome.", ("outcome",)
)
RESULT_CACHE_SAVED_BYTES = Counter(
    "upend_result_cache_saved_bytes_total", "Bytes of tables that hits did not have to read."
)
READ_BYTES = Counter("upend_bucket_read_bytes_total", "Bytes that server runs read from buckets.")
RESULT_BYTES = Counter("upend_result_bytes_total", "Bytes of results written by server runs.")
RESULT_ROWS = Counter("upend_result_rows_total", "Rows of results written by server runs.")
FILE_REDIRECTS = Counter(
    "upend_file_redirects_total", "Requests for files of a grant, by outcome.", ("outcome",)
)
AUDIT_RECORDS = Counter("upend_audit_records_total", "Records committed to the ledger.", ("event",))
