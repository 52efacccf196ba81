"""Keeps lakes quick and looks after buckets, over the API: what a script or a person may ask."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from upend.api import JSON, Api
from upend.errors import QueryFailed

POLL_SECONDS = 0.5
UNDER_WAY = frozenset({"queued", "running"})


@dataclass(frozen=True, slots=True)
class Kept:
    """A catalog, or one table of it."""

    catalog: str
    schema: str = ""
    table: str = ""

    @property
    def label(self) -> str:
        """Return its name as SQL has it."""
        return ".".join(filter(None, (self.catalog, self.schema, self.table)))


class Upkeep:
    """The upkeep of a workspace's lakes."""

    def __init__(self, api: Api, workspace: str) -> None:
        self._api = api
        self._base = f"/api/v1/workspaces/{workspace}"

    def health(self, sort: str = "need") -> JSON:
        """Return how the catalogs stand that one may maintain, and their tables in need."""
        found: JSON = self._api.get(f"{self._base}/maintenance", sort=sort)
        return found

    def needed(self, kept: Kept, kinds: Sequence[str]) -> list[JSON]:
        """Return the steps of these kinds that are needed now; nothing is done."""
        path = f"tables/{kept.schema}/{kept.table}/maintenance" if kept.table else "maintenance"
        found = self._api.get(f"{self._base}/catalogs/{kept.catalog}/{path}")
        return [step for step in found["steps"] if step["kind"] in kinds]

    def orphans(self, catalog: str) -> JSON:
        """Count what nothing in a catalog's bucket names; nothing is deleted."""
        found: JSON = self._api.post(f"{self._base}/catalogs/{catalog}/maintenance/orphans")
        return found

    def run(
        self, kept: Kept, kinds: Sequence[str], on_step: Callable[[JSON], None] | None = None
    ) -> JSON:
        """Take the needed steps of these kinds and return the run at its end.

        `on_step` is told of it now and then; None does not wait. Raises `QueryFailed`.
        """
        body: JSON = {"kinds": list(kinds), "schema": kept.schema, "table": kept.table}
        found: JSON = self._api.post(f"{self._base}/catalogs/{kept.catalog}/maintenance/runs", body)
        while on_step and found["state"] in UNDER_WAY:
            on_step(found)
            time.sleep(POLL_SECONDS)
            found = self._api.get(f"{self._base}/maintenance/{found['id']}")
        if found["state"] == "failed":
            problem = found["problem"] or {}
            raise QueryFailed(
                problem.get("detail", "The run failed."),
                code=problem.get("code", "maintenance-failed"),
                hint=problem.get("hint", ""),
            )
        return found


class Buckets:
    """The buckets of a workspace."""

    def __init__(self, api: Api, workspace: str) -> None:
        self._api = api
        self._base = f"/api/v1/workspaces/{workspace}/buckets"

    def list(self) -> list[JSON]:
        """Return the buckets, by name."""
        return self._api.items(self._base)

    def get(self, name: str) -> JSON:
        """Return one bucket, with its last check; its keys for who manages it."""
        found: JSON = self._api.get(self._path(name))
        return found

    def check(self, name: str) -> JSON:
        """Check the connection step by step and return what was found."""
        found: JSON = self._api.post(f"{self._path(name)}/check")
        return found

    def add(self, settings: dict[str, Any], key: dict[str, Any] | None) -> JSON:
        """Connect a bucket; check it next."""
        found: JSON = self._api.post(self._base, settings | {"key": key})
        return found

    def rotate(self, name: str, key: dict[str, Any]) -> JSON:
        """Give the bucket a new key if it passes the check, and return that."""
        found: JSON = self._api.post(f"{self._path(name)}/keys", key)
        return found

    def _path(self, name: str) -> str:
        return f"{self._base}/{quote(name, safe='')}"
