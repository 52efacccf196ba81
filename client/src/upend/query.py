"""One query from submission to result, wherever the server's plan says that it runs."""

from __future__ import annotations

import base64
import tempfile
import time
import uuid
import warnings
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn

from upend.api import Api
from upend.errors import (
    HandedOver,
    QueryCancelled,
    QueryFailed,
    Refused,
    Unreachable,
    UpendError,
    of_problem,
)
from upend.follow import (
    FINAL,
    PREPARING,
    WITH_ROWS,
    Follower,
    OnProgress,
    Progress,
    ignore,
    longest_wait,
    prefer,
    progress_of,
)

if TYPE_CHECKING:
    import httpx
    import pyarrow as pa

    from upend.local import LocalRun
    from upend.manifest import Manifest, ServerKeys
    from upend.result import Facts, Result

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: `place` is `auto`, `server` or `local`; `snapshots` pins catalogs.

    Without `cache` it runs even where the server has the rows of an equal query. `purpose` is what
    it is for: it is recorded, and policies may ask for it.
    """

    sql: str
    place: str = "auto"
    catalog: str = ""
    snapshots: dict[str, int] = field(default_factory=dict)
    handed_over_from: str = ""
    cache: bool = True
    purpose: str = ""

    def as_body(self) -> Document:
        """Return the JSON that plans and queries are asked with."""
        body: Document = {"sql": self.sql, "place": self.place}
        if self.catalog:
            body["catalog"] = self.catalog
        if self.snapshots:
            body["snapshots"] = self.snapshots
        if self.handed_over_from:
            body["handed_over_from"] = self.handed_over_from
        if not self.cache:
            body["cache"] = False
        if self.purpose:
            body["purpose"] = self.purpose
        return body


class Runner:
    """Carries queries out against one workspace of one server."""

    def __init__(self, api: Api, workspace: str, keys: ServerKeys) -> None:
        self._api = api
        self._base = f"/api/v1/workspaces/{workspace}"
        self._keys = keys

    def explain(self, request: Request) -> Document:
        """Return the plan of `request`; nothing runs."""
        plan: Document = self._post("plans", request)
        return plan

    def run(
        self,
        request: Request,
        *,
        on_progress: OnProgress = ignore,
        timeout: float | None = None,
    ) -> Result:
        """Run `request` and return its result; Ctrl-C cancels it, here and on the server."""
        deadline = time.monotonic() + timeout if timeout else None
        document = self._submit(request, on_progress, deadline)
        try:
            document = self._prepared(document, on_progress, deadline)
            if document["place"] == "local" and document["state"] not in FINAL:
                return self._run_here(document, request, on_progress, deadline)
            return self._await(document, on_progress, deadline)
        except KeyboardInterrupt:
            self.cancel(str(document["id"]))
            raise

    def _submit(
        self, request: Request, on_progress: OnProgress, deadline: float | None
    ) -> Document:
        """Send `request`; where nobody watches its progress, wait for its end in one go.

        Ctrl-C meanwhile still cancels the query: its key tells which one that is.
        """
        key = str(uuid.uuid4())
        seconds = longest_wait(deadline) if on_progress is ignore else 0
        try:
            document: Document = self._post("queries", request, key=key, wait=seconds)
        except KeyboardInterrupt:
            if seconds:
                self.cancel(str(self._post("queries", request, key=key)["id"]))
            raise
        return document

    def _post(self, kind: str, request: Request, *, key: str = "", wait: int = 0) -> Any:
        """Send `request` with the device's proof; under `auto` it may do without.

        The server cannot check proofs while its broker is down; queries that may run there still
        can be taken in.
        """
        path, body = f"{self._base}/{kind}", request.as_body()
        path += f"?{WITH_ROWS}" if wait else ""
        headers = {"Idempotency-Key": key or str(uuid.uuid4())} | prefer(wait)
        prove = request.place != "server"
        try:
            return self._api.request("POST", path, json=body, headers=headers, prove=prove).json()
        except Unreachable as error:
            if error.code != "replay-check-unavailable" or request.place != "auto":
                raise
        return self._api.request("POST", path, json=body, headers=headers).json()

    def _prepared(
        self, document: Document, on_progress: OnProgress, deadline: float | None
    ) -> Document:
        """Wait while the server writes extracts that this machine will read.

        It may end on the server all the same, where they could not be made: then that is said.
        """
        if document["state"] != PREPARING:
            return document
        path = f"{self._base}/queries/{document['id']}"
        document = Follower(self._api, path, on_progress, deadline).prepared(document)
        if document["state"] == PREPARING:
            self._too_late(document)
        if document["place"] == "server" and on_progress is ignore:
            warnings.warn(str(document["plan"]["why"]), HandedOver, stacklevel=3)
        return document

    def _too_late(self, document: Document) -> NoReturn:
        from upend.local import timed_out  # noqa: PLC0415  # brings the engine with it

        self.cancel(str(document["id"]))
        raise timed_out()

    def cancel(self, query_id: str) -> None:
        """Ask the server to stop a query; a query that is over stays as it is."""
        try:
            self._api.post(f"{self._base}/queries/{query_id}/cancel")
        except Refused as refusal:
            if refusal.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                raise

    def history(self, limit: int) -> list[Document]:
        """Return the newest queries first."""
        return self._api.items(f"{self._base}/queries", limit=limit)

    # --- On the server ------------------------------------------------------------------------
    def _await(self, document: Document, on_progress: OnProgress, deadline: float | None) -> Result:
        path = f"{self._base}/queries/{document['id']}"
        document = Follower(self._api, path, on_progress, deadline).end_of(document)
        if document["state"] not in FINAL:
            self._too_late(document)
        if document["state"] != "succeeded":
            raise _ended(document)
        return self._fetch(document)

    def _fetch(self, document: Document) -> Result:
        import pyarrow as pa  # noqa: PLC0415  # slow to import, and not every command needs it

        from upend.result import Column, Result  # noqa: PLC0415

        rows = base64.b64decode(str(document.get("result") or ""))
        try:
            table = pa.ipc.open_file(rows).read_all() if rows else self._downloaded(document)
        except pa.ArrowInvalid as error:
            raise Unreachable(
                "The result arrived damaged.",
                code="result-damaged",
                hint="It is kept on the server until it expires: try again.",
            ) from error
        columns = [Column(c["name"], c["type"]) for c in document["columns"]]
        return Result(table, columns, _facts(document))

    def _downloaded(self, document: Document) -> pa.Table:
        """Return the rows from the storage."""
        import pyarrow as pa  # noqa: PLC0415  # slow to import, and not every command needs it

        path = f"{self._base}/queries/{document['id']}/result"
        address = str(document.get("result_url") or "")
        with tempfile.TemporaryFile(prefix="upend-") as file:
            with self._api.download(path, address=address, format="arrow") as chunks:
                for chunk in chunks:
                    file.write(chunk)
            file.seek(0)
            return pa.ipc.open_file(file).read_all()

    # --- On this machine ----------------------------------------------------------------------
    def _run_here(
        self,
        document: Document,
        request: Request,
        on_progress: OnProgress,
        deadline: float | None,
    ) -> Result:
        from upend import local  # noqa: PLC0415  # brings the engine with it
        from upend.result import Result  # noqa: PLC0415

        progress, started = progress_of(document), time.monotonic()
        on_progress(replace(progress, state="verifying"))
        try:
            manifest = self._manifest(document, request)
        except UpendError as error:
            self._report(document, local.LocalRun(error=error))
            raise
        run = local.run(
            manifest,
            request.sql,
            on_progress=lambda percent: on_progress(
                replace(progress, state="running", percent=percent)
            ),
            deadline=deadline,
        )
        if run.error is not None:
            run.error = self._explained(run.error, manifest)
        run.run_seconds = time.monotonic() - started
        notice = self._report(document, run)
        if request.place == "auto" and run.error and run.error.code == local.OUT_OF_MEMORY:
            taken_from = "" if notice else str(document["id"])
            continued = replace(
                request,
                place="server",
                snapshots=document["plan"]["snapshots"],
                handed_over_from=taken_from,
            )
            return self._hand_over(continued, run, on_progress, deadline)
        if isinstance(run.error, QueryCancelled):
            raise KeyboardInterrupt
        if run.error is not None:
            raise run.error
        facts = replace(
            _facts(document),
            bytes_read=run.bytes_read,
            engine_seconds=run.engine_seconds,
            truncated=run.truncated,
            notice=notice,
        )
        return Result(run.table, run.columns, facts)

    def _hand_over(
        self, request: Request, run: LocalRun, on_progress: OnProgress, deadline: float | None
    ) -> Result:
        """Have the server run what outgrew this machine, on the same snapshots, and say so."""
        mega = run.memory_bytes / 10**6
        size = f"{mega / 1000:.1f} GB" if mega >= 1000 else f"{mega:.0f} MB"  # noqa: PLR2004
        text = f"It outgrew the {size} this machine may use; the server takes over."
        on_progress(Progress("handed-over", "server", why=text))
        if on_progress is ignore:
            warnings.warn(text, HandedOver, stacklevel=2)
        left = max(deadline - time.monotonic(), 0.001) if deadline else None
        result = self.run(request, on_progress=on_progress, timeout=left)
        notice = " ".join(filter(None, [text, result.facts.notice]))
        result.facts = replace(result.facts, notice=notice)
        return result

    def _manifest(self, document: Document, request: Request) -> Manifest:
        from upend.manifest import Expectation, verify  # noqa: PLC0415

        if self._api.device is None:
            raise Refused(
                "The server sent this query here, but this machine has no device key.",
                code="no-device",
                hint="upend login enrols it; or run the query with --on server.",
            )
        path = f"{self._base}/queries/{document['id']}/manifest"
        answer = self._api.request("GET", path, prove=True)
        expected = Expectation(
            server_url=self._api.url,
            device_thumbprint=self._api.device.thumbprint,
            query_id=str(document["id"]),
            sql=request.sql,
        )
        return verify(answer.text.strip(), expected=expected, keys=self._keys)

    def _explained(self, error: UpendError, manifest: Manifest) -> UpendError:
        """Return `error`, or the server's own reason when it stopped serving the files."""
        if error.code != "files-unreachable":
            return error
        try:
            answer = self._api.probe(manifest.paths[0], bearer=manifest.bearer)
        except Unreachable as unreachable:
            return unreachable
        return _file_problem(answer) or error

    def _report(self, document: Document, run: LocalRun) -> str:
        """Send the signed receipt; return a notice if the server did not take it.

        The run is in the ledger since its manifest was issued, so a lost receipt costs measures,
        not the record: the person keeps the rows.
        """
        device = self._api.device
        if device is None:
            return ""
        from upend.receipt import receipt_claims  # noqa: PLC0415  # brings the engine with it

        receipt = device.sign_receipt(receipt_claims(str(document["id"]), run))
        path = f"{self._base}/queries/{document['id']}/receipt"
        try:
            self._api.post(path, {"receipt": receipt}, idempotent=True, prove=True)
        except UpendError as error:
            return f"The receipt of this run was not accepted: {error.detail}"
        return ""


def _file_problem(answer: httpx.Response) -> UpendError | None:
    if answer.status_code < HTTPStatus.BAD_REQUEST:
        return Unreachable(
            "The server still permits the files, but their storage did not serve one.",
            code="bucket-unreachable",
            hint="Check that this machine can reach the storage; or run it with --on server.",
        )
    try:
        document = answer.json()
    except ValueError:
        document = {}
    problem = of_problem(answer.status_code, document, answer.headers.get("X-Request-Id", ""))
    return QueryFailed(
        f"The server stopped serving the files while the query ran: {problem.detail}",
        code=problem.code,
        hint=problem.hint or "Run the query again, or with --on server.",
        request_id=problem.request_id,
    )


def _facts(document: Document) -> Facts:
    from upend.result import Facts  # noqa: PLC0415  # brings the engine with it

    plan = document.get("plan") or {}
    return Facts(
        query_id=str(document["id"]),
        place=str(document["place"]),
        why=str(plan.get("why", "")),
        plan=plan,
        bytes_read=document.get("bytes_read"),
        engine_seconds=document.get("engine_seconds"),
        truncated=bool(document.get("truncated")),
        notice=str(document.get("notice") or ""),
        cached_at=str((document.get("cached") or {}).get("at") or ""),
    )


def _ended(document: Document) -> UpendError:
    """Return the error of a query that did not succeed."""
    if document["state"] == "cancelled":
        return QueryCancelled("The query was cancelled on the server.", code="cancelled", hint="")
    problem = document.get("problem") or {}
    return QueryFailed(
        str(problem.get("detail") or problem.get("title") or "The query failed on the server."),
        code=str(problem.get("code") or "query-failed"),
        hint=str(problem.get("hint") or ""),
        extra={"query_id": str(document["id"])},
    )
