"""What tables were: their snapshots, what two differ in, and the way back to one."""

from __future__ import annotations

import time
from typing import Any

from upend.api import Api
from upend.errors import QueryFailed
from upend.jobs import FINAL
from upend.loading import Target

Document = dict[str, Any]


class Past:
    """The history of a workspace's catalogs."""

    def __init__(self, api: Api, workspace: str) -> None:
        self._api = api
        self._base = f"/api/v1/workspaces/{workspace}"

    def snapshots(self, name: str, *, limit: int = 20) -> list[Document]:
        """Return the newest snapshots of a catalog, or those that touched a table."""
        path = f"{self._place(name)}/snapshots"
        found: list[Document] = self._api.get(path, limit=limit)["results"]
        return found

    def difference(self, table: str, first: int, last: int | None = None) -> Document:
        """Return what two snapshots of a table differ in; `last` is the newest if left out."""
        asked: dict[str, str | int] = {"first": first}
        asked |= {} if last is None else {"last": last}
        path = f"{self._table(table)}/differences"
        found: Document = self._api.request("GET", path, params=asked).json()
        return found

    def changed_rows(
        self, table: str, first: int, last: int | None = None, *, limit: int = 50
    ) -> Document:
        """Return some of the rows that changed between two snapshots.

        Raises `Refused` where policies hide anything of the table from the caller.
        """
        asked = {"first": first, "limit": limit} | ({} if last is None else {"last": last})
        job = self._api.post(f"{self._table(table)}/changed-rows", asked)
        self._ended(job)
        catalog = Target.of(table).catalog
        found: Document = self._api.get(f"{self._base}/catalogs/{catalog}/changed-rows/{job['id']}")
        return found

    def preview_rollback(self, name: str, snapshot: int) -> Document:
        """Return what taking a table, or a whole catalog, back would do; nothing is written."""
        asked = {"snapshot": snapshot, "dry_run": True}
        found: Document = self._api.post(f"{self._place(name)}/rollback", asked)
        return found

    def roll_back(self, name: str, snapshot: int, *, message: str = "") -> Document:
        """Take a table, or a whole catalog, back to a snapshot; return the job at its end."""
        asked = {"snapshot": snapshot, "message": message}
        job = self._api.post(f"{self._place(name)}/rollback", asked, idempotent=True)
        return self._ended(job)

    def _place(self, name: str) -> str:
        """Return the path of a catalog, or of a table, whose name has dots."""
        return self._table(name) if "." in name else f"{self._base}/catalogs/{name}"

    def _table(self, name: str) -> str:
        target = Target.of(name)
        return f"{self._base}/catalogs/{target.catalog}/tables/{target.schema}/{target.table}"

    def _ended(self, job: Document) -> Document:
        looks = 0
        while job["state"] not in FINAL:
            time.sleep(0.2 if looks < 10 else 1.0)  # noqa: PLR2004 - quick at first
            looks += 1
            job = self._api.get(f"{self._base}/jobs/{job['id']}")
        if job["state"] == "failed":
            problem = job["problem"] or {}
            raise QueryFailed(
                problem.get("detail", "It could not be done."),
                code=problem.get("code", "job-failed"),
                hint=problem.get("hint", ""),
            )
        return job
