"""The console's pages of connectors: what is pulled, from where, how far it is, and a new one."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.domain import Actor
from catalog import selectors
from catalog.connectors import overview
from catalog.connectors.sources import IN_BUCKETS, TITLES, GivenSource
from catalog.domain import BucketKind, ConnectorKind, ConnectorMode
from catalog.models import Catalog, Connector
from catalog.services import connector_checks, connectors
from console.access import actor_of, signed_in, workspace_of
from console.refusals import FORBIDDEN, NOT_FOUND, Attempt, answer
from governance.domain import Action
from governance.selectors import decide
from problems import Invalid, NotFound, Problem
from workspaces.models import Workspace

RUNS_SHOWN = 20
PORTS = {ConnectorKind.MYSQL: 3306, ConnectorKind.POSTGRESQL: 5432}
SCHEMES = {ConnectorKind.MYSQL: "mysql", ConnectorKind.POSTGRESQL: "postgresql"}


@require_safe
@signed_in
def catalog_connectors(request: HttpRequest, workspace: str, catalog: str) -> HttpResponseBase:
    """List the connectors of a catalog, for who manages it."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_catalog(actor, place, catalog)
    context = {
        "workspace": place,
        "catalog": found,
        "decision": decide(actor, Action.CATALOG_MANAGE, found.securable),
        "lines": overview.lines(connectors.visible_connectors(actor, found)),
        "kinds": TITLES.items(),
    }
    return render(request, "catalog/connectors.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def new_connector(request: HttpRequest, workspace: str, catalog: str) -> HttpResponseBase:
    """Show the form of a new connector; try its source, or create it."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_catalog(actor, place, catalog)
    kind = _kind(request.POST.get("kind", "") or request.GET.get("kind", ""))
    if request.POST.get("step") == "check":
        return _checked(request, actor, found, kind)
    with Attempt(elsewhere={FORBIDDEN}) as attempt:
        if request.method == "POST":
            made = _create(request, actor, found, kind)
            messages.success(request, f"{made.name} has begun its first run.")
            return redirect("page-connector", workspace, found.name, made.name)
    return _form(request, (actor, found), kind, attempt.problem)


@require_safe
@signed_in
def connector(
    request: HttpRequest, workspace: str, catalog: str, connector: str
) -> HttpResponseBase:
    """Show one connector: its source, its runs, and what is wrong with its files."""
    return _connector(request, (workspace, catalog, connector))


@require_POST
@signed_in
def connector_step(
    request: HttpRequest, workspace: str, catalog: str, connector: str, step: str
) -> HttpResponseBase:
    """Run a connector now, pause or resume it, change it, or delete it."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_catalog(actor, place, catalog)
    one = connectors.find_connector(actor, found, connector)
    with Attempt(elsewhere={FORBIDDEN, NOT_FOUND}) as attempt:
        messages.success(request, _done(request, actor, one, step))
    if attempt.problem:
        return _connector(request, (workspace, catalog, connector), attempt.problem)
    if step == "delete":
        return redirect("page-connectors", workspace, found.name)
    return redirect("page-connector", workspace, found.name, one.name)


def _done(request: HttpRequest, actor: Actor, found: Connector, step: str) -> str:
    """Do what the form asks for, and return what to say of it."""
    match step:
        case "run":
            connectors.run_connector(actor=actor, connector=found)
            return f"{found.name} runs as soon as a worker is free."
        case "pause" | "resume":
            connectors.change_connector(actor=actor, connector=found, is_paused=step == "pause")
            return f"{found.name} is paused." if step == "pause" else f"{found.name} goes on."
        case "change":
            connectors.change_connector(
                actor=actor,
                connector=found,
                interval_seconds=_interval(request),
                dsn=_new_dsn(request, found),
            )
            return "Kept."
        case "delete":
            connectors.delete_connector(actor=actor, connector=found)
            return f"{found.name} is deleted. The table and its rows stay."
    raise NotFound("The form does not say what to do.", hint="Load the page again.")


def _connector(
    request: HttpRequest, names: tuple[str, str, str], problem: Problem | None = None
) -> HttpResponseBase:
    workspace, catalog, name = names
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_catalog(actor, place, catalog)
    one = connectors.find_connector(actor, found, name)
    [line], [became] = overview.lines([one]), overview.lately([one], RUNS_SHOWN)
    context = {
        "workspace": place,
        "catalog": found,
        "connector": one,
        "line": line,
        "runs": became.runs,
        "files": became.files,
        "minutes": f"{one.interval_seconds / 60:g}",
    }
    return answer(request, "catalog/connector.html", context, problem)


def _form(
    request: HttpRequest,
    whose: tuple[Actor, Catalog],
    kind: ConnectorKind,
    problem: Problem | None,
) -> HttpResponseBase:
    actor, found = whose
    place = found.workspace
    context = {
        "workspace": place,
        "catalog": found,
        "decision": decide(actor, Action.CATALOG_MANAGE, found.securable),
        "kind": kind,
        "kinds": TITLES.items(),
        "port": PORTS.get(kind),
        "in_bucket": kind in IN_BUCKETS,
        "buckets": _buckets(actor, place) if kind in IN_BUCKETS else (),
        "said": request.POST,
    }
    return answer(request, "catalog/connector_new.html", context, problem)


def _buckets(actor: Actor, place: Workspace) -> list[Any]:
    found = selectors.visible_buckets(actor, place)
    return [bucket for bucket in found if bucket.kind == BucketKind.CUSTOMER]


def _checked(
    request: HttpRequest, actor: Actor, catalog: Catalog, kind: ConnectorKind
) -> HttpResponseBase:
    """Try the source that the form names; say beside the form what is in it, or what is wrong."""
    look = None
    with Attempt() as attempt:
        source = _source(request, actor, catalog, kind)
        look = connector_checks.check_source(actor=actor, catalog=catalog, source=source)
    context = {"look": look, "problem": attempt.problem}
    return render(request, "catalog/connector_new.html#look", context)


def _create(request: HttpRequest, actor: Actor, catalog: Catalog, kind: ConnectorKind) -> Connector:
    given = request.POST
    return connectors.create_connector(
        actor=actor,
        catalog=catalog,
        name=given.get("name", "").strip(),
        source=_source(request, actor, catalog, kind),
        target_schema=given.get("target_schema", "").strip() or "main",
        target_table=given.get("target_table", "").strip(),
        interval_seconds=_interval(request),
    )


def _source(
    request: HttpRequest, actor: Actor, catalog: Catalog, kind: ConnectorKind
) -> GivenSource:
    given = request.POST
    mode = ConnectorMode.REPLACE if given.get("mode") == "replace" else ConnectorMode.APPEND
    named = given.get("bucket", "")
    is_growing = mode is ConnectorMode.APPEND and kind is not ConnectorKind.PARQUET
    return GivenSource(
        kind=kind,
        dsn="" if kind in IN_BUCKETS else _dsn(kind, {key: given.get(key, "") for key in given}),
        bucket=selectors.find_bucket(actor, catalog.workspace, named) if named else None,
        path=given.get("path", "").strip(),
        schema=given.get("source_schema", "").strip(),
        table=given.get("source_table", "").strip(),
        watermark_column=given.get("watermark_column", "").strip() if is_growing else "",
        mode=mode,
    )


def _dsn(kind: ConnectorKind, given: dict[str, Any]) -> str:
    """Return the connection string of the form's fields, each spelled so that it is only that."""
    host = str(given.get("host", "")).strip()
    if not host or any(character in host for character in "/@?#% "):
        raise Invalid("The host is missing, or is no host.", hint="Such as db.example.com.")
    host = f"[{host}]" if ":" in host else host
    user, password, database = (
        quote(str(given.get(key, "")), safe="") for key in ("user", "password", "dbname")
    )
    port = quote(str(given.get("port", "")).strip() or str(PORTS[kind]), safe="")
    mode = quote(str(given.get("sslmode", "")) or "verify-full", safe="")
    return f"{SCHEMES[kind]}://{user}:{password}@{host}:{port}/{database}?sslmode={mode}"


def _new_dsn(request: HttpRequest, found: Connector) -> str:
    """Return the connection string with the password that was typed; empty where none was."""
    password = request.POST.get("password", "")
    if not password:
        return ""
    return _dsn(ConnectorKind(found.kind), found.source | {"password": password})


def _interval(request: HttpRequest) -> int:
    text = request.POST.get("interval_minutes", "").strip()
    if not text.isascii() or not text.isdecimal() or len(text) > len("43200"):
        raise Invalid("How often it runs is a number of minutes.", hint="Such as 60.")
    return int(text) * 60


def _kind(text: str) -> ConnectorKind:
    return ConnectorKind(text) if text in set(ConnectorKind) else ConnectorKind.POSTGRESQL
