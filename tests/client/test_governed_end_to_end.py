"""An analyst whose table is masked and filtered: the same rows at the laptop as on the server."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator

import pytest

import upend
from tests.client.test_end_to_end import command, laptop, logged_in
from tests.stack import DemoAir
from upend.follow import Progress

__all__ = ["command", "laptop"]

pytestmark = pytest.mark.stack

POLICIES = "/api/v1/workspaces/flight-ops/policies"
MASK = "columns: [tailnum]\nmethod: hmac\nexcept: [{role: owner}]\n"
FILTER = "where: \"manufacturer <> 'BOEING'\"\nexcept: [{role: owner}]\n"
PLANES = "SELECT * FROM flights.planes ORDER BY ALL"


@pytest.fixture(scope="module")
def owner(
    demo_air: DemoAir, tmp_path_factory: pytest.TempPathFactory
) -> Generator[upend.Connection]:
    """Return the owner's connection, which may publish policies."""
    scopes = ("admin", "catalog:write", "device:enroll", "query:run")
    with logged_in(demo_air, "owner", tmp_path_factory.mktemp("o"), *scopes) as opened:
        yield opened


@pytest.fixture(scope="module")
def governed(owner: upend.Connection) -> Generator[None]:
    """Mask and filter the planes for all but owners, until the tests are over."""
    publish(owner, "mask-planes", "mask", MASK)
    publish(owner, "filter-planes", "row_filter", FILTER)
    yield
    for name in ("mask-planes", "filter-planes"):
        owner.api.post(f"{POLICIES}/{name}:retire", {"reason": "The tests are over."})


def publish(owner: upend.Connection, name: str, kind: str, text: str) -> None:
    """Begin a policy and have it hold."""
    begun = {"name": name, "kind": kind, "on": "flights.main.planes", "text": text}
    made = owner.api.request("POST", POLICIES, json=begun).json()
    headers = {"If-Match": f'"{made["open"]["etag"]}"'}
    owner.api.request("POST", f"{POLICIES}/{name}:publish", json={}, headers=headers)


@pytest.mark.usefixtures("governed")
def test_it_gives_the_same_rows_in_both_places(
    laptop: upend.Connection, owner: upend.Connection
) -> None:
    steps: list[Progress] = []
    here = laptop.sql(PLANES, on="local", on_progress=steps.append)
    server = laptop.sql(PLANES, on="server", cache=False)
    assert (here.place, server.place) == ("local", "server")
    assert here.types == server.types
    assert here.fetchall() == server.fetchall()
    assert "preparing" in {step.state for step in steps}
    all_rows = owner.sql(PLANES, on="server").fetchall()
    assert 0 < len(here) < len(all_rows)
    tailnums = {row[0] for row in all_rows}
    assert not tailnums & {row[0] for row in here.fetchall()}
    (extract,) = laptop.explain(PLANES)["extracts"]
    assert extract["text"].endswith("ready")
    again = laptop.sql("SELECT count(*) FROM flights.planes WHERE year > 2000", on="local")
    assert again.plan["extracts"][0]["state"] == "ready"
    assert again.facts.bytes_read < extract["size_bytes"]


@pytest.mark.usefixtures("governed")
def test_it_tells_of_the_extract_in_the_command_line(
    command: Callable[..., tuple[int, str, str]],
) -> None:
    code, out, err = command("explain", PLANES)
    assert code == 0, err
    assert re.search(r"flights\.main\.planes: extract, (\d.* ready|about .* to prepare)", out)
    code, out, err = command("query", "SELECT count(*) AS n FROM flights.planes", "--on", "local")
    assert code == 0, err
