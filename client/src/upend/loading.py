"""Sends a file into a table: part by part straight to the storage, and on after an interruption."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from upend import jobs
from upend.errors import Unreachable, UsageError

if TYPE_CHECKING:
    from upend.api import Api

ATTEMPTS = 4
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LoadStep:
    """How far loading a file is; `sent` of `size` bytes have arrived."""

    state: str
    sent: int
    size: int
    percent: float | None = None


OnStep = Callable[[LoadStep], None]


def silent(step: LoadStep) -> None:
    """Show nothing."""


@dataclass(frozen=True, slots=True)
class Target:
    """The table that a file is for."""

    catalog: str
    schema: str
    table: str

    @classmethod
    def of(cls, name: str) -> Target:
        """Return the target of `catalog.schema.table`, or of `catalog.table` in `main`."""
        parts = name.split(".")
        if len(parts) == 2:  # noqa: PLR2004 - catalog.table
            parts = [parts[0], "main", parts[1]]
        if len(parts) != 3 or not all(parts):  # noqa: PLR2004 - catalog.schema.table
            raise UsageError(
                f"{name!r} does not name a table.",
                code="invalid-name",
                hint="Write it as catalog.schema.table, such as flights.main.delays.",
            )
        return cls(*parts)


class Loading:
    """One file on its way into one table."""

    def __init__(self, api: Api, workspace: str, target: Target, on_step: OnStep) -> None:
        self._api = api
        self._base = f"/api/v1/workspaces/{workspace}/catalogs/{target.catalog}/transfers"
        self._workspace = workspace
        self._target = target
        self._on_step = on_step
        self._is_barred = False

    def load(
        self,
        file: Path,
        *,
        mode: str = "create",
        format: str = "",  # noqa: A002 - the API's word
        types: dict[str, str] | None = None,
    ) -> Document:
        """Send `file`, have it written, and return the writer's job once it has committed.

        Raises `QueryFailed` with the line and reason where the file does not fit.
        """
        if not file.is_file():
            raise UsageError(f"There is no file {file}.", code="no-file", hint="Check its path.")
        begun = self._begun(file, mode, format)
        path = f"{self._base}/{begun['id']}"
        try:
            with file.open("rb") as content:
                self._send(path, begun, content)
            self._api.request("POST", f"{path}:complete", json={}, repeatable=True)
            body: Document = {"types": types} if types else {}
            loading = self._api.request("POST", f"{path}:load", json=body, repeatable=True)
        except KeyboardInterrupt:
            self._api.request("DELETE", path)
            raise
        return self._followed(loading.json(), begun["size_bytes"])

    def _begun(self, file: Path, mode: str, form: str) -> Document:
        body: Document = {
            "schema": self._target.schema,
            "table": self._target.table,
            "file_name": file.name,
            "size_bytes": file.stat().st_size,
            "mode": mode,
        } | ({"format": form} if form else {})
        begun: Document = self._api.post(self._base, body)
        return begun

    def _send(self, path: str, begun: Document, content: IO[bytes]) -> None:
        """Send what has not arrived until nothing is missing; the storage says what arrived."""
        size, part_bytes = begun["size_bytes"], begun["part_bytes"]
        idle, before = 0, 0
        while left := self._api.get(f"{path}/parts"):
            if not left["missing"]:
                return
            idle = idle + 1 if left["missing"] == before else 0
            if idle == ATTEMPTS:
                raise Unreachable(
                    "The storage takes no part of the file.",
                    code="storage-refused",
                    hint="Try again later; an administrator checks its disk and its address.",
                )
            if idle:
                time.sleep(2.0**idle)
            before = left["missing"]
            sent = max(0, size - before * part_bytes)
            for number, url in left["urls"].items():
                self._on_step(LoadStep("sending", sent, size))
                sent += self._send_part(path, int(number), url, part_bytes, content)

    def _send_part(
        self, path: str, number: int, url: str, part_bytes: int, content: IO[bytes]
    ) -> int:
        """Send one part straight to the storage, by the server where that is out of reach.

        Returns how many bytes were taken.
        """
        content.seek((number - 1) * part_bytes)
        data = content.read(part_bytes)
        if not self._is_barred:
            try:
                return len(data) if self._api.put_to_storage(url, data) else 0
            except Unreachable:
                self._is_barred = True
        self._api.request("PUT", f"{path}/parts/{number}", content=data, repeatable=True)
        return len(data)

    def _followed(self, job: Document, size: int) -> Document:
        def show(state: str, percent: float | None) -> None:
            self._on_step(LoadStep(state, size, size, percent))

        return jobs.followed(self._api, self._workspace, job, show)
