"""The Python way in: `upend.connect(url).sql("…")`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from upend.api import Api, FixedToken, TokenSource
from upend.device import DeviceKey
from upend.errors import NotLoggedIn, UsageError
from upend.follow import OnProgress, ignore
from upend.jobs import OnState, followed, unheard
from upend.loading import Loading, OnStep, Target, silent
from upend.login import Session
from upend.profile import Profile, Store, choose
from upend.query import Request, Runner
from upend.upkeep import Buckets, Upkeep

if TYPE_CHECKING:
    import pyarrow as pa

    from upend.past import Past
    from upend.result import Result

PLACES = ("auto", "server", "local")
Document = dict[str, Any]


class Connection:
    """One workspace on one server, as one person or program."""

    def __init__(self, api: Api, store: Store, profile: Profile, workspace: str = "") -> None:
        self.api = api
        self.store = store
        self.profile = profile
        self._workspace = workspace

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection to the server."""
        self.api.close()

    @property
    def workspace(self) -> str:
        """Return the workspace in use: the one asked for, or the only one there is."""
        if not self._workspace:
            self._workspace = _only_workspace(self.workspaces())
        return self._workspace

    def sql(
        self,
        sql: str,
        *,
        on: str = "auto",
        catalog: str | None = None,
        snapshots: dict[str, int] | None = None,
        timeout: float | None = None,
        cache: bool = True,
        purpose: str = "",
        on_progress: OnProgress = ignore,
    ) -> Result:
        """Run one SELECT and return its result.

        `on` is where: `auto` lets the plan decide, `server` and `local` insist. `catalog` is where
        names without one are looked up. `snapshots` maps catalogs to the snapshot to read. After
        `timeout` seconds the query is cancelled. Without `cache` it runs even where the server
        has the rows of an equal query. `purpose` is what it is for, in your words: it is recorded,
        and policies may ask for it. Raises `UpendError`.
        """
        request = request_of(sql, on=on, catalog=catalog, snapshots=snapshots)
        request = replace(request, cache=cache, purpose=purpose)
        return self.runner.run(request, on_progress=on_progress, timeout=timeout)

    def explain(
        self,
        sql: str,
        *,
        on: str = "auto",
        catalog: str | None = None,
        snapshots: dict[str, int] | None = None,
        purpose: str = "",
    ) -> Document:
        """Return the plan: what would be read, what governance says, where it would run and why."""
        request = request_of(sql, on=on, catalog=catalog, snapshots=snapshots)
        return self.runner.explain(replace(request, purpose=purpose))

    def workspaces(self) -> list[Document]:
        """Return the workspaces one may see."""
        return self.api.items("/api/v1/workspaces")

    def catalogs(self) -> list[Document]:
        """Return the catalogs of the workspace that one may see."""
        return self.api.items(f"/api/v1/workspaces/{self.workspace}/catalogs")

    def tables(self, catalog: str | None = None) -> list[Document]:
        """Return the tables one may see, each with its `catalog`; of one catalog if named."""
        names = [catalog] if catalog else [str(one["name"]) for one in self.catalogs()]
        base = f"/api/v1/workspaces/{self.workspace}/catalogs"
        return [
            {"catalog": name} | table
            for name in names
            for table in self.api.items(f"{base}/{name}/tables")
        ]

    def table(self, catalog: str, schema: str, name: str) -> Document:
        """Return one table with its columns."""
        base = f"/api/v1/workspaces/{self.workspace}/catalogs"
        found: Document = self.api.get(f"{base}/{catalog}/tables/{schema}/{name}")
        return found

    def connectors(self) -> list[Document]:
        """Return what is pulled into the catalogs that one manages, each with its `catalog`."""
        names = [str(one["name"]) for one in self.catalogs()]
        base = f"/api/v1/workspaces/{self.workspace}/catalogs"
        return [
            {"catalog": name} | one
            for name in names
            for one in self.api.get(f"{base}/{name}/connectors")["results"]
        ]

    def connector(self, catalog: str, name: str) -> Document:
        """Return one connector with its last runs."""
        found: Document = self.api.get(self._connector(catalog, name))
        return found

    def run_connector(self, catalog: str, name: str) -> Document:
        """Have a connector run now."""
        found: Document = self.api.post(f"{self._connector(catalog, name)}:run")
        return found

    def pause_connector(self, catalog: str, name: str, *, is_paused: bool = True) -> Document:
        """Pause a connector, or let it go on."""
        body = {"is_paused": is_paused}
        path = self._connector(catalog, name)
        found: Document = self.api.request("PATCH", path, json=body, repeatable=True).json()
        return found

    def _connector(self, catalog: str, name: str) -> str:
        base = f"/api/v1/workspaces/{self.workspace}/catalogs"
        return f"{base}/{quote(catalog, safe='')}/connectors/{quote(name, safe='')}"

    def load(
        self,
        file: str | Path,
        table: str,
        *,
        mode: str = "create",
        format: str = "",  # noqa: A002 - the API's word
        types: dict[str, str] | None = None,
        on_step: OnStep = silent,
    ) -> Document:
        """Load a CSV, JSON or Parquet file into `catalog.schema.table`; return the commit's job.

        `mode` is `create` or `append`; `types` are of columns of a new table. Raises
        `QueryFailed` with the line and reason where the file does not fit: all rows or none.
        """
        loading = Loading(self.api, self.workspace, Target.of(table), on_step)
        return loading.load(Path(file), mode=mode, format=format, types=types)

    def register(
        self,
        table: str,
        prefix: str,
        files: Sequence[str] = (),
        *,
        mode: str = "append",
        allow_missing: bool = False,
        ignore_extra: bool = False,
        skip_registered: bool = False,
        dry_run: bool = False,
        on_state: OnState = unheard,
    ) -> Document:
        """Make Parquet files in the catalog's bucket part of `catalog.schema.table`, uncopied.

        They lie below `prefix`: those of `files`, else every one that ends with .parquet. Raises
        `QueryFailed` with what does not fit: all files or none. Returns the commit's job; with
        `dry_run`, which files it would be, and which of them do not fit.
        """
        target = Target.of(table)
        base = f"/api/v1/workspaces/{self.workspace}/catalogs/{target.catalog}/registrations"
        body = {
            "schema": target.schema,
            "table": target.table,
            "mode": mode,
            "prefix": prefix,
            "files": list(files),
            "allow_missing": allow_missing,
            "ignore_extra": ignore_extra,
            "skip_registered": skip_registered,
        }
        if dry_run:
            found: Document = self.api.post(base, body | {"dry_run": True})
            return found
        job = self.api.post(base, body, idempotent=True)
        return followed(self.api, self.workspace, job, on_state)

    def append(
        self,
        table: str,
        rows: pa.Table,
        *,
        ack: str = "committed",
        on_error: str = "reject",
        key: str = "",
    ) -> list[Document]:
        """Append an Arrow table to `catalog.schema.table`; return the batches that took it in.

        With `ack="staged"` it returns once the rows are durably kept. The same `key` with the
        same rows writes them once. Raises `Refused` with the rows that do not fit; where there
        are several batches, those before it are written.
        """
        from upend.rows import Rows  # noqa: PLC0415

        sender = Rows(self.api, self.workspace, Target.of(table))
        return sender.append(rows, ack=ack, on_error=on_error, key=key)

    @property
    def past(self) -> Past:
        """Return what looks at snapshots and goes back to them."""
        from upend.past import Past  # noqa: PLC0415

        return Past(self.api, self.workspace)

    def devices(self) -> list[Document]:
        """Return one's own devices; administrators get everybody's."""
        return self.api.items("/api/v1/devices")

    def decide_device(self, device_id: str, verb: str) -> Document:
        """Carry out `approve` or `revoke` on a device; raise Refused if one may not."""
        found: Document = self.api.post(f"/api/v1/devices/{device_id}/{verb}")
        return found

    @property
    def upkeep(self) -> Upkeep:
        """Return what keeps the workspace's lakes quick."""
        return Upkeep(self.api, self.workspace)

    @property
    def buckets(self) -> Buckets:
        """Return the workspace's buckets."""
        return Buckets(self.api, self.workspace)

    @property
    def runner(self) -> Runner:
        """Return what carries queries out."""
        from upend.manifest import KEYS_PATH, ServerKeys  # noqa: PLC0415  # local runs only

        path = self.store.server_keys_path(self.api.url)
        keys = ServerKeys(path, lambda: dict(self.api.get(KEYS_PATH)))
        return Runner(self.api, self.workspace, keys)


def connect(
    url: str | None = None,
    token: str | None = None,
    profile: str | None = None,
    *,
    workspace: str | None = None,
) -> Connection:
    """Connect to a server: with the login of `upend login`, or with a `token`.

    What is not given comes from UPEND_URL, UPEND_TOKEN and UPEND_WORKSPACE, then from the
    profile. Raises NotLoggedIn if there are no credentials; the server is not asked yet.
    """
    store = Store()
    chosen = choose(store, url=url, name=profile)
    tokens = _tokens(store, chosen, token or os.environ.get("UPEND_TOKEN") or "")
    device = DeviceKey.load(store.device_path(chosen))
    name = workspace or os.environ.get("UPEND_WORKSPACE") or chosen.workspace
    return Connection(Api(chosen.url, tokens=tokens, device=device), store, chosen, name)


def request_of(
    sql: str, *, on: str, catalog: str | None, snapshots: dict[str, int] | None
) -> Request:
    """Return the checked request; raise UsageError if the call itself is wrong."""
    text = sql.strip()
    if not text:
        raise UsageError(
            "There is no SQL to run.", code="empty-query", hint='upend query "SELECT 1"'
        )
    if on not in PLACES:
        raise UsageError(
            f"{on!r} is not a place to run at.", code="unknown-place", hint=f"One of {PLACES}."
        )
    return Request(text, on, catalog or "", snapshots or {})


def _tokens(store: Store, profile: Profile, token: str) -> TokenSource:
    if token:
        return FixedToken(token)
    credentials = store.credentials(profile)
    if credentials is None:
        raise NotLoggedIn(
            f"You are not logged in to {profile.url}.",
            code="not-logged-in",
            hint=f"upend login {profile.url}",
        )
    return Session(store, profile, credentials)


def _only_workspace(workspaces: list[Document]) -> str:
    names = [str(one["slug"]) for one in workspaces]
    if len(names) == 1:
        return names[0]
    if not names:
        raise UsageError(
            "You are not a member of any workspace.",
            code="no-workspace",
            hint="Ask an owner of a workspace to add you.",
        )
    raise UsageError(
        f"You are a member of several workspaces: {', '.join(sorted(names))}.",
        code="which-workspace",
        hint="Name one with --workspace, or once with `upend login --workspace NAME`.",
    )
