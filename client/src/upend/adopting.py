"""Has a DuckLake that was made elsewhere read, reported and adopted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upend.errors import QueryFailed, UsageError
from upend.jobs import pause

if TYPE_CHECKING:
    from upend.api import Api

Document = dict[str, Any]
OnAdoption = Callable[[Document], None]
RUNNING = frozenset({"queued", "reading", "confirmed"})
STORES = {".sqlite": "sqlite", ".sqlite3": "sqlite"}


def silent(adoption: Document) -> None:
    """Show nothing."""


class Adopting:
    """Adoptions of one workspace."""

    def __init__(self, api: Api, workspace: str, on_look: OnAdoption = silent) -> None:
        self._api = api
        self._base = f"/api/v1/workspaces/{workspace}/adoptions"
        self._on_look = on_look

    def ask(self, asked: dict[str, str], file: Path | None = None) -> Document:
        """Have a lake read and checked; return the adoption with its report.

        `asked` are the fields of `POST …/adoptions`. Raises `QueryFailed` where it cannot be read.
        """
        if file is None:
            adoption: Document = self._api.post(self._base, dict(asked))
        elif not file.is_file():
            raise UsageError(f"There is no file {file}.", code="no-file", hint="Check its path.")
        else:
            store = asked.get("metadata_store") or STORES.get(file.suffix, "duckdb")
            form = (asked | {"metadata_store": store}, file)
            adoption = self._api.request("POST", self._base, form=form).json()
        return self._followed(adoption)

    def confirm(self, adoption: Document) -> Document:
        """Adopt a lake as it was reported; return the adoption once it is a catalog."""
        return self._followed(self._api.post(f"{self._base}/{adoption['id']}/confirm"))

    def cancel(self, adoption: Document) -> Document:
        """Throw a report away."""
        found: Document = self._api.post(f"{self._base}/{adoption['id']}/cancel")
        return found

    def _followed(self, adoption: Document) -> Document:
        looks = 0
        while adoption["state"] in RUNNING:
            self._on_look(adoption)
            pause(looks)
            looks += 1
            adoption = self._api.get(f"{self._base}/{adoption['id']}")
        if problem := adoption["problem"]:
            raise QueryFailed(
                problem.get("detail", "The lake could not be adopted."),
                code=problem.get("code", "adoption-failed"),
                hint=problem.get("hint", ""),
            )
        return adoption
