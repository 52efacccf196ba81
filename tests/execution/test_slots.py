"""A worker's slots look for queries when they are called, each on its own, and stop when told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from accounts.domain import Actor
from api import broker as brokers
from api.broker import broker
from execution import services
from execution.services import queue, slots
from execution.services.slots import Slots
from tests.execution.ahead import forget_broker
from tests.execution.queue import machine
from tests.execution.rows import make_query
from tests.patience import LONG_SECONDS, until
from workspaces.models import Workspace


@pytest.fixture(autouse=True)
def silence(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hear no call of another test, and leave none."""
    monkeypatch.setattr(brokers, "LONGEST_SECONDS", LONG_SECONDS)
    forget()
    yield
    forget()


def forget() -> None:
    forget_broker()  # one that did not answer another test would be asked nothing
    broker().attempt(lambda client: client.delete(slots.KEY))


def waiting() -> int:
    return int(broker().attempt(lambda client: client.llen(slots.KEY)) or 0)


class Opened:
    """Slots that note who looked, and begin to stop when told."""

    def __init__(self, count: int, look: Callable[[], object] = lambda: None) -> None:
        self.looked: list[str] = []
        self.stopping = threading.Event()
        self._look = look
        self.slots = Slots(machine(slots=count), self.look, self.stopping.is_set)
        self.slots.start()

    def look(self) -> None:
        self.looked.append(threading.current_thread().name)
        self._look()

    def close(self) -> None:
        self.stopping.set()
        self.slots.join()


@pytest.fixture
def open_slots() -> Iterator[Callable[..., Opened]]:
    made: list[Opened] = []

    def make(count: int, look: Callable[[], object] = lambda: None) -> Opened:
        made.append(Opened(count, look))
        return made[-1]

    yield make
    for opened in made:
        opened.close()


def test_it_looks_once_for_each_call(open_slots: Callable[..., Opened]) -> None:
    opened = open_slots(2)
    for count in range(1, 4):
        assert slots.call()
        until(lambda count=count: len(opened.looked) == count, "nobody looked")  # type: ignore[misc]
    assert waiting() == 0


def test_it_looks_with_all_of_its_slots_at_a_time(open_slots: Callable[..., Opened]) -> None:
    together = threading.Barrier(4)
    opened = open_slots(3, look=together.wait)
    for _ in range(3):
        assert slots.call()
    together.wait(LONG_SECONDS)  # where one slot looked after the other, this would break
    assert len(set(opened.looked)) == 3


def test_it_keeps_a_call_until_a_slot_is_free(open_slots: Callable[..., Opened]) -> None:
    busy = threading.Event()
    opened = open_slots(1, look=lambda: busy.wait(LONG_SECONDS))
    assert slots.call()
    until(lambda: len(opened.looked) == 1, "nobody looked")
    assert slots.call()
    assert waiting() == 1
    busy.set()
    until(lambda: len(opened.looked) == 2, "the second call was lost")


def test_it_goes_on_after_a_look_that_failed(open_slots: Callable[..., Opened]) -> None:
    def fail() -> None:
        message = "the database is gone"
        raise RuntimeError(message)

    opened = open_slots(1, look=fail)
    for count in (1, 2):
        assert slots.call()
        until(lambda count=count: len(opened.looked) == count, "nobody looked")  # type: ignore[misc]


def test_it_goes_on_after_the_broker_closed_its_connection(
    open_slots: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brokers, "PAUSE_SECONDS", 0.01)
    opened = open_slots(1)
    assert slots.call()
    until(lambda: len(opened.looked) == 1, "nobody looked")
    broker().attempt(lambda client: client.client_kill_filter(_type="normal", skipme=True))
    assert slots.call()
    until(lambda: len(opened.looked) == 2, "it did not come back")


def test_it_ends_when_told_and_leaves_calls_to_others(
    open_slots: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_slots(1)
    opened.close()
    assert opened.looked == []
    assert slots.call()
    assert waiting() == 1
    late = Slots(machine(slots=1), opened.look, lambda: True)
    late._hear()  # it was told to stop as the call came
    assert (waiting(), opened.looked) == (2, [])


def test_it_remembers_few_calls_and_not_for_long() -> None:
    for _ in range(slots.MOST_CALLS + 10):
        assert slots.call()
    assert waiting() == slots.MOST_CALLS
    left = broker().attempt(lambda client: client.ttl(slots.KEY))
    assert 0 < int(left or 0) <= slots.CALL_SECONDS


@pytest.mark.django_db
def test_it_is_called_for_a_query_and_by_celery_where_it_cannot_be(
    workspace: Workspace, analyst: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[str] = []

    def publish(task: str) -> bool:
        published.append(task)
        return True

    monkeypatch.setattr(queue, "publish", publish)
    query = make_query(workspace, analyst)
    assert queue.say_it_waits(query.id) == ""
    assert (waiting(), published) == (1, [])
    monkeypatch.setattr(slots, "call", lambda: False)
    assert queue.say_it_waits(query.id) == ""
    assert queue.say_again(query.id)
    queue.wake_another()
    assert published == [queue.RUN_QUERIES] * 3


@pytest.mark.django_db(transaction=True)
def test_it_runs_what_waits(
    open_slots: Callable[..., Opened], workspace: Workspace, analyst: Actor
) -> None:
    query = make_query(workspace, analyst, "SELECT 1 AS one")
    open_slots(1, look=lambda: services.run_queries(machine(slots=1)))
    assert queue.say_it_waits(query.id) == ""

    def has_succeeded() -> bool:
        query.refresh_from_db()
        return bool(query.state == "succeeded")

    until(has_succeeded, "it did not run")
