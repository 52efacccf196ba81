"""A rush of one principal's requests waits, or is told to come again; others pass."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from execution import rush
from execution.rush import AT_ONCE, MOST_WAITING, Rush, TooManyRequests

ANA, BEN = uuid.uuid4(), uuid.uuid4()


@pytest.fixture
def busy() -> Iterator[tuple[Rush, ExitStack]]:
    """Have all of Ana's turns taken."""
    with ExitStack() as taken:
        here = Rush()
        for _ in range(AT_ONCE):
            taken.enter_context(here.turn(ANA))
        yield here, taken


def queue_up(here: Rush, count: int, done: list[int]) -> list[threading.Thread]:
    def take_turn(number: int) -> None:
        with here.turn(ANA):
            done.append(number)

    threads = [threading.Thread(target=take_turn, args=[n]) for n in range(count)]
    for thread in threads:
        thread.start()
    while here.waiting(ANA) < count:
        threading.Event().wait(0.01)
    return threads


def test_it_lets_another_principal_pass(busy: tuple[Rush, ExitStack]) -> None:
    with busy[0].turn(BEN):
        pass


def test_it_has_the_next_ones_wait_for_a_turn(busy: tuple[Rush, ExitStack]) -> None:
    here, taken = busy
    done: list[int] = []
    threads = queue_up(here, 3, done)
    assert not done
    taken.close()
    for thread in threads:
        thread.join()
    assert sorted(done) == [0, 1, 2]
    assert here.waiting(ANA) == 0


def test_it_sends_away_what_is_more_than_may_wait(busy: tuple[Rush, ExitStack]) -> None:
    here, taken = busy
    threads = queue_up(here, MOST_WAITING, [])
    with pytest.raises(TooManyRequests) as refused, here.turn(ANA):
        pass
    assert refused.value.status == 429
    assert refused.value.retry_after_seconds == 1
    taken.close()
    for thread in threads:
        thread.join()


def test_it_tells_those_it_sends_away_to_come_again_one_after_the_other(
    busy: tuple[Rush, ExitStack], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rush, "MOST_WAITING", 0)
    here, taken = busy
    told = []
    for _ in range(1000):
        with pytest.raises(TooManyRequests) as refused, here.turn(ANA):
            pass
        told.append(refused.value.retry_after_seconds or 0)
    assert told == sorted(told)
    assert set(told) == set(range(1, rush.LONGEST_RETRY_SECONDS + 1))
    taken.close()
    with busy[0].turn(ANA):
        pass
    assert not here._free_at, "what was promised is forgotten with its principal"


def test_it_gives_the_turn_back_where_the_work_fails(busy: tuple[Rush, ExitStack]) -> None:
    here, _ = busy
    for _ in range(AT_ONCE + 1):
        with pytest.raises(LookupError), here.turn(BEN):
            raise LookupError


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def use(here: Rush, who: uuid.UUID, clock: Clock, seconds: float, queued: int = 0) -> None:
    with here.turn(who) as turn:
        turn.queued = queued
        clock.now += seconds


def test_it_has_who_goes_on_and_on_wait_while_others_ask_too() -> None:
    clock = Clock()
    here = Rush(clock, clock)
    use(here, ANA, clock, 3 * rush.BURST_SECONDS)
    use(here, BEN, clock, 0.0)
    done: list[int] = []
    (waiting,) = queue_up(here, 1, done)
    use(here, BEN, clock, 0.0)
    assert not done, "Ben asks and asks, and Ana has had more than her share"
    clock.now += 2 * rush.BURST_SECONDS / rush.SHARE - 1.0
    use(here, BEN, clock, 0.0)
    assert not done, "not yet"
    clock.now += 1.5
    waiting.join()
    assert done


def test_it_has_nobody_wait_for_others_who_went() -> None:
    clock = Clock()
    here = Rush(clock, clock)
    use(here, BEN, clock, 0.0)
    clock.now += rush.OTHERS_SECONDS
    for _ in range(50):
        use(here, ANA, clock, rush.BURST_SECONDS)
    assert set(here._used) == {ANA}, "who is away is forgotten"


def test_it_lets_each_begin_with_a_burst() -> None:
    clock = Clock()
    here = Rush(clock, clock)
    use(here, BEN, clock, 0.0)
    for _ in range(20):
        use(here, ANA, clock, rush.BURST_SECONDS / 20)
    assert here.waiting(ANA) == 0


def test_it_plans_a_trickle_for_whom_enough_of_theirs_wait_while_others_ask_too() -> None:
    clock = Clock()
    here = Rush(clock, clock)
    use(here, BEN, clock, 0.0)
    use(here, ANA, clock, 0.01, queued=rush.AHEAD)
    done: list[int] = []
    (waiting,) = queue_up(here, 1, done)
    clock.now += 0.01 / rush.TRICKLE - 0.1
    use(here, BEN, clock, 0.0)
    assert not done, "more would only wait in another place"
    clock.now += 0.2
    waiting.join()
    assert done
    assert here._use(ANA).queued == rush.AHEAD, "a request that did not look changes nothing"


def test_it_plans_as_before_once_few_of_theirs_wait() -> None:
    clock = Clock()
    here = Rush(clock, clock)
    use(here, BEN, clock, 0.0)
    use(here, ANA, clock, 0.01, queued=rush.AHEAD)
    clock.now += 0.02 / rush.TRICKLE
    use(here, BEN, clock, 0.0)
    use(here, ANA, clock, rush.BURST_SECONDS / 2, queued=rush.AHEAD - 1)
    use(here, ANA, clock, 0.0, queued=rush.AHEAD - 1)
    assert here.waiting(ANA) == 0
