"""The ledger's running sums: always the sum over the reservations that live, and zero exactly after the last."""

from __future__ import annotations

from decimal import Decimal, localcontext

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcore import ledger as ledger_module
from riskcore.decimals import EXACT
from riskcore.ledger import EMPTY_LEDGER, decode_ledger, encode_ledger, release, reserve
from riskcore.types import Ledger, OpenOrders, Reservation
from tests.riskcore.builders import BUY, SELL, holding, rate, reservation, without_history
from tests.riskcore.test_controls import desk, send
from tests.support.properties import examples

D = Decimal
AMOUNTS = st.decimals(min_value=D("0.000000000001"), max_value=10**12, places=12)
RESERVATIONS = st.builds(
    reservation,
    AMOUNTS,
    st.sampled_from([BUY, SELL]),
    price=AMOUNTS,
    valued_at=AMOUNTS,
    margin_rate=st.sampled_from([D("0.1"), D("0.333333333334"), D(1)]),
    symbol=st.sampled_from(["BTCUSDT", "ETHUSDT"]),
    exchange=st.sampled_from(["", "binance"]),
)


def sums(live: list[Reservation]) -> dict[str, OpenOrders]:
    """What the sums over these reservations are, worked out anew."""
    with localcontext(EXACT):
        return holding(*live).open


def test_a_reservation_that_is_not_in_the_sums_cannot_leave_them() -> None:
    with pytest.raises(ValueError, match="is not in the open orders of 'A'"):
        release(EMPTY_LEDGER, [reservation(1)])
    with pytest.raises(ValueError, match="is not in the open orders"):
        release(holding(reservation(1)), [reservation(1, exchange="binance")])


def test_no_more_orders_leave_one_side_than_were_in_it() -> None:
    with pytest.raises(ValueError, match="more orders were closed in BTCUSDT than were open in 'A'"):
        release(holding(reservation(1, BUY)), [reservation(1, SELL)])
    with pytest.raises(ValueError, match="more orders were closed in BTCUSDT than were open in 'A'"):
        release(holding(reservation(1, SELL)), [reservation(1, BUY)])


def test_the_sums_of_each_side_are_kept_by_themselves() -> None:
    ledger = holding(reservation(2, BUY, price=9, valued_at=10), reservation(5, SELL, price=7, margin_rate="0.2"))
    assert ledger.open["BTCUSDT"] == OpenOrders(
        symbol="BTCUSDT",
        buy_count=1,
        sell_count=1,
        buy_quantity=D(2),
        sell_quantity=D(5),
        buy_notional=D(20),
        sell_notional=D(35),
        buy_margin=D(2),
        sell_margin=D(7),
        buy_unit_margin=D(1),
        sell_unit_margin=D("1.4"),
    )


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_side_forgets_its_dearest_unit_with_its_last_order_and_not_before(side) -> None:
    cheap, dear, other = (reservation(1, side, price=each) for each in (10, 90, 20))

    def dearest(ledger: Ledger) -> Decimal:
        opened = ledger.open["BTCUSDT"]
        return opened.buy_unit_margin if side is BUY else opened.sell_unit_margin

    opposite = reservation(1, SELL if side is BUY else BUY)
    ledger = release(holding(opposite, cheap, dear), [dear])
    assert dearest(ledger) == 9
    assert dearest(release(ledger, [cheap])) == 0
    assert dearest(reserve(release(ledger, [cheap]), other)) == 2


def test_the_last_order_of_a_symbol_takes_its_sums_with_it() -> None:
    one, other = reservation(1), reservation(2, SELL)
    assert release(holding(one, other), [other]) == holding(one)
    assert release(holding(one, other), [other, one]) == EMPTY_LEDGER


def test_the_ledger_before_is_left_as_it_was() -> None:
    before = holding(reservation(1))
    reserve(before, reservation(2))
    release(before, [reservation(1)])
    assert before.open["BTCUSDT"].buy_count == 1


@given(st.lists(RESERVATIONS, max_size=12), st.data())
@examples(200)
def test_the_sums_are_those_of_the_live_reservations_in_whatever_order_they_go(made, data) -> None:
    ledger, live = EMPTY_LEDGER, list[Reservation]()
    waiting = list(made)
    with localcontext(EXACT):
        while waiting or live:
            if waiting and (not live or data.draw(st.booleans())):
                live.append(waiting.pop())
                ledger = reserve(ledger, live[-1])
            else:
                gone = live.pop(data.draw(st.integers(0, len(live) - 1)))
                ledger = release(ledger, [gone])
            ledger = decode_ledger(encode_ledger(ledger))
            assert without_history(ledger.open) == without_history(sums(live))
    assert ledger.open == {}


def test_a_leg_is_written_as_it_is_however_often_its_ledger_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module._texts, "most", 2)
    ledger = EMPTY_LEDGER
    for symbol in ("BTCUSDT", "ETHUSDT", "BTCUSDT", "XYZ"):
        ledger = reserve(ledger, reservation(symbol=symbol))
        for _ in range(2):
            assert encode_ledger(ledger) == msgspec.json.encode(ledger)
        assert len(ledger_module._texts) <= 2


def test_an_account_without_a_ledger_has_an_empty_one() -> None:
    assert decode_ledger(None) == Ledger() == decode_ledger(b"{}")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"opened":{}}',
        b'{"open":[]}',
        b'{"daily_notional":"x"}',
        b'{"rates":{"a":"\xff"}}',
        b'{"last_order":"\xff"}',
    ],
)
def test_a_ledger_that_is_none_is_an_error(content: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_ledger(content)


def test_a_ledger_keeps_no_more_of_a_window_than_a_limit_looks_at() -> None:
    store = desk(rate("order_rate", 10**6, 10))
    send(store, *range(200))
    (window,) = store.ledger().rates.values()
    assert sum(window.counts) == len(window.counts) == 11
    send(store, 1_000)
    (window,) = store.ledger().rates.values()
    assert (sum(window.counts), len(window.counts)) == (1, 11)


@pytest.mark.parametrize(
    "content",
    [
        b'{"daily_notional":"-1"}',
        b'{"daily_notional":"-Infinity"}',
        b'{"daily_notional":"NaN"}',
        b'{"consecutive_rejects":-1}',
        b'{"rates":{"a":[100000,1,[-1]]}}',
        b'{"open":{"A":["A","",0,0,"0","0","NaN"]}}',
        b'{"open":{"A":["A","",0,0,"0","-1"]}}',
        b'{"open":{"A":["A","",-1]}}',
    ],
)
def test_a_sum_that_cannot_be_one_makes_a_ledger_unreadable(content: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_ledger(content)
