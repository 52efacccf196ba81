"""How long pages of a catalog take with 10,000 tables, one of them with 100,000 files.

Over HTTP, as a person's browser and as a program ask; first without and then with that many
tables and files, in the same run. `python -m benchmarks.catalog_pages --save` keeps the figures.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import Any

import httpx
from django.db import connection

from benchmarks import crowd, synthetic
from benchmarks.stage import Stage, milliseconds, percentiles, save, stage
from tests.differential import live

TABLES = 10_000
FILES = 100_000
RUNS = 30

CATALOG_MS = 200.0
TABLE_MS = 300.0
SEARCH_MS = 100.0

CONSOLE = {
    "catalogs": ("/w/bench/catalog", CATALOG_MS),
    "catalog": ("/w/bench/catalog/big", CATALOG_MS),
    "query_page": ("/w/bench/query", CATALOG_MS),
    "table": ("/w/bench/catalog/big/main/files", TABLE_MS),
    "find_in_catalog": ("/w/bench/catalog/big?q=t0012", SEARCH_MS),
    "find_in_palette": ("/palette?w=bench&q=t0012", SEARCH_MS),
    "find_in_tree": ("/w/bench/query/tables?q=t0012", SEARCH_MS),
}
BASE = "/api/v1/workspaces/bench/catalogs/big/tables"
API = {
    "api_tables": (BASE, CATALOG_MS),
    "api_table": (f"{BASE}/main/files", TABLE_MS),
    "api_find": (f"{BASE}?search=t0012", SEARCH_MS),
    "api_misspelt": (f"{BASE}/main/t00120x", CATALOG_MS),
}


def main() -> None:
    """Measure; print the figures, or keep them with `--save`."""
    with stage() as here:
        document = here.catalog("big")
        plain = live.connect(document)
        live.attach(plain, document, "big", writable=True)
        plain.execute(f"CREATE TABLE big.main.files ({synthetic.CREATE})")
        empty = measured(here)
        schema = document["lakes"]["big"]["schema"]
        with connection.cursor() as cursor:
            crowd.fill(cursor, schema=schema, tables=TABLES)
            synthetic.fill(cursor, schema=schema, table="files", files=FILES)
        plain.execute("CREATE TABLE big.main.last (id BIGINT)")  # what was remembered is forgotten
        full = measured(here)
    goals = {name: goal for name, (_, goal) in (CONSOLE | API).items()}
    figures = {
        "tables": TABLES,
        "files_in_one": FILES,
        "with_one_table": empty,
        "with_all": full,
        "goals_p95_ms": goals,
        "is_met": {name: full[name]["p95_ms"] <= goal for name, goal in goals.items()},
    }
    if "--save" in sys.argv:
        save("catalog_pages", figures)
    else:
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")


def measured(here: Stage) -> dict[str, Any]:
    """Return how long each page took."""
    with browser(here) as person, program(here) as token:
        return {
            name: percentiles(
                milliseconds(partial(client.get, path, headers=headers_of(name)), runs=RUNS)
            )
            for client, pages in ((person, CONSOLE), (token, API))
            for name, (path, _) in pages.items()
        }


def headers_of(name: str) -> dict[str, str]:
    """Return what htmx says when one types: it wants the list alone."""
    is_typed = name == "find_in_catalog"
    return {"HX-Request": "true", "HX-Target": "tables"} if is_typed else {}


def browser(here: Stage) -> httpx.Client:
    """Return a client with the owner's session."""
    from django.conf import settings
    from django.test import Client

    from accounts.models import User

    session = Client()
    session.force_login(User.objects.get(id=here.actor.id), settings.AUTHENTICATION_BACKENDS[0])
    cookies = {name: morsel.value for name, morsel in session.cookies.items()}
    return httpx.Client(base_url=here.url, cookies=cookies, timeout=60)


def program(here: Stage) -> httpx.Client:
    """Return a client with the owner's token."""
    authorization = {"Authorization": f"Bearer {here.token}"}
    return httpx.Client(base_url=here.url, headers=authorization, timeout=60)


if __name__ == "__main__":
    main()
