"""The client follows a query by whatever the server offers, and never misses its end."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from upend.api import Api
from upend.errors import NotLoggedIn
from upend.follow import Follower, Progress, ignore

QUERY = "/api/v1/workspaces/w/queries/7"
RUNNING = {"id": "7", "state": "running", "place": "server", "plan": {"why": "big"}}
ENDED = RUNNING | {"state": "succeeded", "row_count": 3}
Answer = tuple[int, dict[str, str], bytes]


def event(kind: str, data: Any) -> bytes:
    return f"id: 1\nretry: 1000\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def stream(*events: bytes) -> Answer:
    return 200, {"Content-Type": "text/event-stream"}, b"".join(events)


def document(query: dict[str, Any], **headers: str) -> Answer:
    return 200, {"Content-Type": "application/json"} | headers, json.dumps(query).encode()


def problem(status: int) -> Answer:
    return status, {"Content-Type": "application/problem+json"}, b'{"code": "not-found"}'


class Script:
    """A server that says what a test tells it to: an older one, a busy one, one that breaks."""

    def __init__(self, streams: list[Answer], documents: list[Answer]) -> None:
        self.left = {"events": streams, "query": documents}
        self.asked: list[str] = []
        self.preferred: list[str] = []

    def answer(self, path: str, prefer: str) -> Answer:
        kind = "events" if path.endswith("/events") else "query"
        self.asked.append(kind)
        self.preferred.append(prefer)
        answers = self.left[kind]
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def served() -> Iterator[Callable[[Script], Api]]:
    servers: list[ThreadingHTTPServer] = []
    clients: list[Api] = []

    def serve(script: Script) -> Api:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, body = script.answer(self.path, self.headers.get("Prefer", ""))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever).start()
        servers.append(server)
        clients.append(Api(f"http://127.0.0.1:{server.server_port}"))
        return clients[-1]

    yield serve
    for client in clients:
        client.close()
    for server in servers:
        server.shutdown()
        server.server_close()


def watched(api: Api) -> tuple[dict[str, Any], list[Progress]]:
    steps: list[Progress] = []
    return Follower(api, QUERY, steps.append, None).end_of(RUNNING), steps


def test_it_shows_each_step_and_returns_the_end_of_the_stream(
    served: Callable[[Script], Api],
) -> None:
    said = {"state": "running", "percent": 40.0, "rows": 2, "bytes": 16}
    script = Script([stream(event("progress", said), b": ping\n\n", event("end", ENDED))], [])
    ended, steps = watched(served(script))
    assert ended == ENDED
    assert script.asked == ["events"]
    assert Progress("running", "server", "big", 40.0, 2, 16) in steps
    assert steps[-1].state == "succeeded"


def test_it_asks_in_one_long_wait_where_nobody_watches(served: Callable[[Script], Api]) -> None:
    applied = {"Preference-Applied": "wait=20"}
    script = Script([], [document(RUNNING, **applied), document(ENDED, **applied)])
    assert Follower(served(script), QUERY, ignore, None).end_of(RUNNING) == ENDED
    assert script.asked == ["query", "query"]
    assert script.preferred == ["wait=20", "wait=20"]


def test_it_asks_again_and_again_where_the_server_is_older(
    served: Callable[[Script], Api],
) -> None:
    script = Script([problem(404)], [document(RUNNING), document(RUNNING), document(ENDED)])
    ended, _ = watched(served(script))
    assert ended == ENDED
    assert script.asked == ["events", "query", "query", "query"]


def test_it_opens_a_stream_that_broke_again(served: Callable[[Script], Api]) -> None:
    said = {"state": "running", "percent": 1.0, "rows": 1, "bytes": 8}
    broken = stream(event("progress", said))
    script = Script([broken, broken, stream(event("end", ENDED))], [document(RUNNING)])
    assert watched(served(script))[0] == ENDED
    assert script.asked == ["events", "query"] * 2 + ["events"]


def test_it_stops_opening_streams_that_say_nothing(served: Callable[[Script], Api]) -> None:
    script = Script([stream()], [document(RUNNING)] * 4 + [document(ENDED)])
    assert watched(served(script))[0] == ENDED
    assert script.asked.count("events") == 3


def test_it_says_so_where_the_login_ended(served: Callable[[Script], Api]) -> None:
    script = Script([problem(401)], [document(RUNNING)])
    with pytest.raises(NotLoggedIn):
        watched(served(script))


def test_it_gives_up_when_its_caller_does(served: Callable[[Script], Api]) -> None:
    follower = Follower(served(Script([], [document(RUNNING)])), QUERY, ignore, 0.0)
    assert follower.end_of(RUNNING) == RUNNING
