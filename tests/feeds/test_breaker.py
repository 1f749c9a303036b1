"""A circuit breaker: who does not answer is left alone, and tried again."""

from __future__ import annotations

import pytest

from feeds.breaker import BreakerState, CircuitBreaker


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> list[BreakerState]:
    return []


@pytest.fixture
def breaker(clock, told) -> CircuitBreaker:
    return CircuitBreaker(failures=3, pause_s=1.0, changed=told.append, clock=clock)


def fail(breaker: CircuitBreaker, times: int = 3) -> None:
    for _ in range(times):
        assert breaker.admits()
        breaker.failed()


def test_it_opens_after_so_many_failures_in_a_row(breaker, told):
    fail(breaker, 2)
    assert breaker.admits()
    assert not told
    breaker.failed()
    assert not breaker.admits()
    assert told == [BreakerState.OPEN]


def test_an_answer_between_them_starts_the_count_anew(breaker):
    fail(breaker, 2)
    breaker.succeeded()
    fail(breaker, 2)
    assert breaker.admits()


def test_after_the_pause_one_call_is_tried(breaker, clock, told):
    fail(breaker)
    clock.now_s += 0.999
    assert not breaker.admits()
    clock.now_s += 0.001
    assert breaker.admits()
    assert not breaker.admits()
    assert told == [BreakerState.OPEN, BreakerState.HALF_OPEN]


def test_if_that_is_answered_all_are_made_again(breaker, clock, told):
    fail(breaker)
    clock.now_s += 1
    assert breaker.admits()
    breaker.succeeded()
    assert breaker.admits()
    assert breaker.admits()
    assert told[-1] is BreakerState.CLOSED


def test_if_not_it_stays_open_for_another_pause(breaker, clock):
    fail(breaker)
    clock.now_s += 1
    fail(breaker, 1)
    assert breaker.state is BreakerState.OPEN
    clock.now_s += 0.999
    assert not breaker.admits()
    clock.now_s += 0.001
    assert breaker.admits()


def test_a_trial_of_which_nothing_is_heard_is_followed_by_another(breaker, clock):
    fail(breaker)
    clock.now_s += 1
    assert breaker.admits()
    clock.now_s += 1
    assert breaker.admits()


def test_calls_that_end_late_do_not_put_the_trial_off(breaker, clock):
    fail(breaker)
    clock.now_s += 0.5
    breaker.failed()  # one that was under way when it opened
    clock.now_s += 0.5
    assert breaker.admits()
