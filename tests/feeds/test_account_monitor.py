"""The connection to an Account Monitor: what it costs when that is late, gone, or says nonsense."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import grpc
import pytest

from feeds.account_monitor import AccountMonitor
from feeds.account_pull import NoState
from feeds.breaker import BreakerState, CircuitBreaker
from feeds.pull_metrics import MonitorResult
from tests.feeds.monitor_server import MonitorServer, position, state

LONG_S, SHORT_S = 20.0, 0.05


@pytest.fixture
def server() -> Iterator[MonitorServer]:
    found = MonitorServer()
    found.start()
    yield found
    found.close()


@pytest.fixture
def breaker() -> CircuitBreaker:
    return CircuitBreaker(failures=3, pause_s=0.1)


@pytest.fixture
def monitor(server, breaker) -> Iterator[AccountMonitor]:
    found = AccountMonitor(server.url, timeout_s=LONG_S, breaker=breaker)
    yield found
    found.close()


def refused(monitor: AccountMonitor) -> MonitorResult:
    with pytest.raises(NoState) as raised:
        monitor.report("A", home_exchange="")
    return raised.value.result


def test_a_state_comes_as_it_was_said(server, monitor):
    held = [position(quantity="-0.5", margin="25", exchange="binance"), position("ETHUSDT", "2", mark_price="")]
    server.answer = lambda account_id: state(account_id, equity="-1.5", positions=held, sequence=0, peak_equity="9")
    report = monitor.report("A", home_exchange="HOME")
    assert str(report.equity) == "-1.5"
    assert str(report.peak_equity) == "9"
    assert report.balance is None
    assert report.sequence == 0
    assert {key: str(each.quantity) for key, each in report.positions.items()} == {
        "BTCUSDT|BINANCE": "-0.5",
        "ETHUSDT|HOME": "2",
    }


def test_a_number_that_was_not_said_is_none(monitor):
    assert monitor.report("A", home_exchange="").sequence == -1


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (b"\xff", MonitorResult.MALFORMED),
        pytest.param(state(equity="NaN"), MonitorResult.MALFORMED, id="NaN"),
        pytest.param(state("B"), MonitorResult.ANOTHER_ACCOUNT, id="of another"),
        (grpc.StatusCode.NOT_FOUND, MonitorResult.UNKNOWN_ACCOUNT),
        (grpc.StatusCode.INTERNAL, MonitorResult.FAILED),
        (grpc.StatusCode.UNKNOWN, MonitorResult.FAILED),
        (grpc.StatusCode.PERMISSION_DENIED, MonitorResult.FAILED),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, MonitorResult.FAILED),
        (grpc.StatusCode.UNIMPLEMENTED, MonitorResult.FAILED),
        (grpc.StatusCode.UNAUTHENTICATED, MonitorResult.FAILED),
    ],
    ids=str,
)
def test_who_answers_nonsense_or_fails_on_one_account_is_asked_about_others(server, monitor, breaker, answer, result):
    server.answer = lambda _account_id: answer
    for _ in range(10):
        assert refused(monitor) is result
    assert breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, MonitorResult.DEADLINE),
        (grpc.StatusCode.UNAVAILABLE, MonitorResult.UNAVAILABLE),
    ],
    ids=str,
)
def test_who_does_not_answer_is_left_alone(server, monitor, status, result):
    server.answer = lambda _account_id: status
    assert [refused(monitor) for _ in range(4)] == [result] * 3 + [MonitorResult.NOT_CALLED]
    assert len(server.asked) == 3


def test_a_call_that_was_given_up_says_nothing_of_the_monitor(server, monitor, breaker):
    """Calls end so when somebody else makes the connection anew."""
    server.answer = lambda _account_id: grpc.StatusCode.UNAVAILABLE
    refused(monitor)
    server.answer = lambda _account_id: grpc.StatusCode.CANCELLED
    for _ in range(5):
        assert refused(monitor) is MonitorResult.FAILED
    assert breaker.state is BreakerState.CLOSED
    server.answer = lambda _account_id: grpc.StatusCode.UNAVAILABLE
    assert [refused(monitor) for _ in range(3)] == [MonitorResult.UNAVAILABLE] * 2 + [MonitorResult.NOT_CALLED]


def test_an_answer_longer_than_any_state_is_a_failure(server, monitor):
    server.answer = lambda _account_id: b"\x00" * (2 * 1024 * 1024)
    assert refused(monitor) is MonitorResult.FAILED


def test_who_is_late_is_not_waited_for_and_then_left_alone(server, breaker):
    monitor = AccountMonitor(server.url, timeout_s=SHORT_S, breaker=breaker)
    server.going.clear()
    assert [refused(monitor) for _ in range(4)] == [MonitorResult.DEADLINE] * 3 + [MonitorResult.NOT_CALLED]
    monitor.close()


def test_who_is_gone_is_tried_until_he_is_back(server, monitor, breaker):
    monitor.report("A", home_exchange="")
    server.kill()
    results = [refused(monitor) for _ in range(4)]
    assert results[-1] is MonitorResult.NOT_CALLED
    assert not breaker.admits()
    server.start()
    until_s = time.monotonic() + LONG_S
    while breaker.state is not BreakerState.CLOSED:
        assert time.monotonic() < until_s
        time.sleep(0.02)
        with contextlib.suppress(NoState):
            monitor.report("A", home_exchange="")
    assert monitor.report("A", home_exchange="").account_id == "A"


def test_a_connection_without_answers_is_made_anew(server, breaker, monkeypatch):
    monkeypatch.setattr("feeds.account_monitor._RENEWED_AFTER_S", 0.0)
    monitor = AccountMonitor(server.url, timeout_s=LONG_S, breaker=breaker)
    server.answer = lambda _account_id: grpc.StatusCode.UNAVAILABLE
    refused(monitor)
    first = monitor._channel
    server.answer = state
    monitor.report("A", home_exchange="")
    assert monitor._channel is not first
    second = monitor._channel
    monitor.report("A", home_exchange="")
    assert monitor._channel is second
    monitor.close()
