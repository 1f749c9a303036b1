"""Orders at the doors where an Account Monitor is asked for the state of their accounts first."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal

import grpc
import pytest

from feeds.pull import forget_pull
from riskcore.book import Parameters
from riskcore.case import decode_state
from riskcore.journal import DecisionEntry, decode_entry
from riskcore.ports import AccountQuery, Load
from riskcore.types import AccountState
from state.store import JOURNAL_START, Store
from tests.api.world import ACCOUNTS, BATCH, CHECK, Answer, Door, WsgiDoor, order, publish, report
from tests.feeds.monitor_server import MonitorServer, now_us, position, state
from tests.riskcore import builders
from tests.support.patience import PATIENCE_S

# Longer than any answer takes, on any machine; and so short that a test may wait for it.
LONG, SHORT = timedelta(seconds=20), timedelta(milliseconds=50)


@pytest.fixture
def monitor() -> Iterator[MonitorServer]:
    server = MonitorServer()
    server.start()
    yield server
    server.close()


@pytest.fixture
def pulling(store: Store, settings, monitor: MonitorServer) -> Iterator[Store]:
    """A store with prices and no state of any account, and a monitor to be asked for them."""
    settings.RISK_ACCOUNT_MONITOR_URL = monitor.url
    settings.RISK_ACCOUNT_MONITOR_TIMEOUT = LONG
    settings.RISK_CACHE_TTL = timedelta(microseconds=1)
    publish(store)
    put_prices(store)
    yield store
    forget_pull()


# The doors take the settings up when they are made: tests name these before them.
@pytest.fixture
def not_pulling(pulling: Store, settings) -> Store:
    settings.RISK_ACCOUNT_MONITOR_URL = ""
    return pulling


@pytest.fixture
def caching(pulling: Store, settings) -> Store:
    """What was asked for stays fresh."""
    settings.RISK_CACHE_TTL = timedelta(hours=1)
    return pulling


@pytest.fixture
def impatient(pulling: Store, settings) -> Store:
    settings.RISK_ACCOUNT_MONITOR_TIMEOUT = SHORT
    return pulling


@pytest.fixture
def ageing(pulling: Store, settings) -> Store:
    """States grow old within a second, and the monitor is left alone for a moment only."""
    settings.RISK_ACCOUNT_MONITOR_PAUSE = timedelta(milliseconds=100)
    settings.RISK_CACHE_TTL = timedelta(milliseconds=1)
    publish(pulling, version=2, parameters=Parameters(state_max_age_us=1_000_000, price_max_age_us=3_600_000_000))
    return pulling


def put_prices(store: Store) -> None:
    store.put_prices({symbol: (price, 0) for symbol, price in builders.MARKS.items()})


def kept(store: Store, account_id: str = "A") -> AccountState | None:
    """Return the state that is in the store."""
    content = store.load(Load(accounts=(AccountQuery(account_id=account_id),))).accounts[0].state
    return None if content is None else decode_state(content)


def asked_until(door: Door, wanted: Callable[[Answer], bool]) -> Answer:
    """Ask about new orders until the answer is as wanted."""
    until_s = time.monotonic() + PATIENCE_S
    while True:
        answer = door.post(CHECK, order(f"again-{next(_numbers)}", quantity="0.0001"))
        if wanted(answer):
            return answer
        assert time.monotonic() < until_s, answer.json
        time.sleep(0.02)


_numbers = itertools.count()


def reason_of(answer: Answer) -> str | None:
    found: str | None = answer.json["reason"]
    return found


def test_an_order_is_decided_on_what_the_monitor_says(pulling, monitor, door):
    monitor.answer = lambda account_id: state(account_id, equity="123456.789", positions=[position(quantity="0.5")])
    answer = door.post(CHECK, order(quantity="0.1"))
    assert answer.json["approved"], answer.json
    assert answer.json["post_trade_metrics"]["gross_exposure"] == "30000"
    found = kept(pulling)
    assert found is not None
    assert found.equity == found.peak_equity == found.balance == Decimal("123456.789")
    assert [held.quantity for held in found.positions.values()] == [Decimal("0.5")]
    assert monitor.asked == ["A"]


def test_what_it_says_is_journaled_with_the_decision(pulling, monitor, door):
    monitor.answer = lambda account_id: state(account_id, equity="777777")
    door.post(CHECK, order())
    entries = [decode_entry(entry) for _id, entry in pulling.read_journal(0, JOURNAL_START, 10)]
    (decision,) = (entry for entry in entries if isinstance(entry, DecisionEntry))
    assert decode_state(bytes(decision.inputs.state)).equity == Decimal(777777)


def test_nobody_is_asked_where_none_is_configured(not_pulling, monitor, door):
    assert reason_of(door.post(CHECK, order())) == "stale_account_state"
    assert not monitor.asked


def test_a_newer_state_takes_the_place_of_an_older_one(pulling, monitor, door):
    door.post(CHECK, order())
    monitor.answer = lambda account_id: state(account_id, equity="10")
    answer = door.post(CHECK, order("o-2"))
    assert reason_of(answer) == "insufficient_margin"
    assert monitor.asked == ["A", "A"]


def test_an_older_state_does_not(pulling, monitor, door):
    door.post(CHECK, order())
    monitor.answer = lambda account_id: state(account_id, equity="10", timestamp=now_us() - 60_000_000)
    assert door.post(CHECK, order("o-2")).json["approved"]
    found = kept(pulling)
    assert found is not None
    assert found.equity == 1_000_000


def test_a_lower_number_does_not_either(pulling, monitor, door):
    monitor.answer = lambda account_id: state(account_id, sequence=7)
    door.post(CHECK, order())
    monitor.answer = lambda account_id: state(account_id, sequence=6, equity="10")
    assert door.post(CHECK, order("o-2")).json["approved"]


def test_the_same_number_keeps_the_state_fresh(pulling, monitor, door):
    monitor.answer = lambda account_id: state(account_id, sequence=7)
    door.post(CHECK, order())
    first = kept(pulling)
    door.post(CHECK, order("o-2"))
    second = kept(pulling)
    assert first is not None
    assert second is not None
    assert second.sent_at_us > first.sent_at_us


def test_an_older_number_is_refused_however_often_the_newer_one_was_said(pulling, monitor, door):
    for number, (sequence, equity) in enumerate([(7, "1000000"), (7, "1000000"), (3, "10")]):
        monitor.answer = lambda account_id, s=sequence, e=equity: state(account_id, sequence=s, equity=e)
        door.post(CHECK, order(f"o-{number}"))
    found = kept(pulling)
    assert found is not None
    assert (found.sequence, found.equity) == (7, Decimal(1_000_000))


def test_a_dead_state_from_a_clock_that_is_ahead_grows_old(ageing, monitor, door):
    """Its moment is still to come, so that it is as old as its first answer; said again it is no younger."""
    dead = state("A", timestamp=now_us() + 50_000_000)
    monitor.answer = lambda _account_id: dead
    assert door.post(CHECK, order()).json["approved"]
    asked_until(door, lambda answer: reason_of(answer) == "stale_account_state")


def test_a_state_that_is_old_when_it_comes_blocks(pulling, monitor, door):
    monitor.answer = lambda account_id: state(account_id, timestamp=now_us() - 60_000_000)
    assert reason_of(door.post(CHECK, order())) == "stale_account_state"


BAD = {
    "no_message": b"\xff\xff\xff",
    "nothing": b"",
    "another_account": state("B"),
    "no_equity": state(equity=""),
    "no_margin": state(margin_used=""),
    "no_timestamp": state(timestamp=0),
    "of_the_future": state(timestamp=now_us() + 3_600_000_000_0),
    "nan": state(equity="NaN"),
    "infinite": state(equity="Infinity"),
    "negative_margin": state(margin_used="-1"),
    "words": state(equity="a lot"),
    "blanks": state(equity=" 5"),
    "quotes": state(equity='"5"'),
    "endless": state(equity="1" * 500),
    "negative_sequence": state(sequence=-1),
    "position_without_quantity": state(positions=[position(quantity="")]),
    "position_of_nan": state(positions=[position(quantity="nan")]),
    "position_without_symbol": state(positions=[position(symbol="")]),
    "position_twice": state(positions=[position(), position()]),
    "not_found": grpc.StatusCode.NOT_FOUND,
    "unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
    "internal": grpc.StatusCode.INTERNAL,
}


@pytest.mark.parametrize("name", BAD)
def test_an_answer_that_is_no_state_of_the_account_changes_nothing(pulling, monitor, name):
    monitor.answer = lambda _account_id: BAD[name]
    door = WsgiDoor()  # one is enough: the doors share what reads answers
    assert reason_of(door.post(CHECK, order())) == "stale_account_state"
    assert kept(pulling) is None
    report(pulling)
    before = kept(pulling)
    assert door.post(CHECK, order("o-2")).json["approved"]
    assert kept(pulling) == before
    assert monitor.asked == ["A", "A"]


def test_an_answer_that_comes_too_late_is_not_waited_for(impatient, monitor, door):
    monitor.going.clear()
    assert reason_of(door.post(CHECK, order())) == "stale_account_state"
    assert kept(impatient) is None


def test_a_monitor_that_ends_lets_states_grow_old_until_it_is_back(ageing, monitor, door):
    asked_until(door, lambda answer: answer.json["approved"])
    monitor.kill()
    asked_until(door, lambda answer: reason_of(answer) == "stale_account_state")
    monitor.start()
    asked_until(door, lambda answer: answer.json["approved"])


def test_what_is_fresh_is_not_asked_for_again(caching, monitor, door):
    for number in range(5):
        assert door.post(CHECK, order(f"o-{number}")).json["approved"]
    assert monitor.asked == ["A"]


def test_a_batch_asks_once_for_each_account(caching, monitor, door):
    orders = [order(f"o-{number}", account_id=ACCOUNTS[number % 3], quantity="0.01") for number in range(30)]
    answer = door.post(BATCH, {"orders": orders})
    assert all(decision["approved"] for decision in answer.json["decisions"]), answer.json
    assert sorted(monitor.asked) == list(ACCOUNTS)


def test_nobody_is_asked_about_accounts_that_nobody_knows(pulling, monitor, door):
    assert reason_of(door.post(CHECK, order(account_id="elsewhere"))) == "unknown_account"
    assert not monitor.asked


def test_a_what_if_is_decided_on_a_fresh_state_too(pulling, monitor, door):
    assert door.post(CHECK, order(what_if=True)).json["approved"]
    assert monitor.asked == ["A"]


def test_who_may_not_ask_about_an_account_does_not_have_the_monitor_asked(pulling, monitor, door):
    assert door.post(CHECK, order(), {"Authorization": "Bearer nonsense"}).status == 401
    assert door.post(CHECK, b"{}").status == 400
    assert not monitor.asked
