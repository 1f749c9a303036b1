"""An account as it stands, without an order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from riskcore.book import Policy, Scope
from riskcore.ledger import OF_THE_DAY, encode_ledger, reserve
from riskcore.overview import AccountOverview, LimitOverview, overview
from riskcore.ports import AccountView, Stop, StopScope
from riskcore.types import Ledger, Position, Price, RateWindow, Reservation, RiskLevel, TradingState
from tests.riskcore import builders
from tests.riskcore.builders import NOW, SECOND, policy, position, scoped


def prices(age_us: int = 0, **marks: str) -> dict[str, Price]:
    found = {**builders.MARKS, **marks}
    return {symbol: Price(Decimal(mark), NOW - age_us) for symbol, mark in found.items() if mark}


def look(
    *policies: Policy,
    state: bytes | None = None,
    ledger: Ledger | None = None,
    price_age_us: int = 0,
    book: dict[str, Any] | None = None,
    stops: tuple[Stop, ...] = (),
    expired: tuple[Reservation, ...] = (),
    **marks: str,
) -> AccountOverview:
    view = AccountView(
        account_id="A",
        version=1,
        state=state,
        ledger=None if ledger is None else encode_ledger(ledger),
        prices=prices(price_age_us, **marks),
        answers={},
        expired=expired,
        own_bids={},
        own_asks={},
    )
    return overview(view, builders.compiled(*policies, **(book or {})), NOW, stops=stops)


def state(*positions: Position, **what: Any) -> bytes:
    return msgspec.json.encode(builders.state(*positions, **what))


def limit(found: AccountOverview, name: str, symbol: str = "") -> LimitOverview:
    return next(each for each in found.limits if each.policy_id == name and each.symbol == symbol)


def test_the_example_of_the_contract_comes_out_exactly():
    found = look(state=state(margin_used=10_000, peak_equity=105_000, daily_start_equity=98_000))

    assert found.metrics["drawdown_daily"] == 0
    assert found.metrics["drawdown_max"] == Decimal("0.047619")
    assert found.metrics["margin_ratio"] == 10


def test_without_a_state_nothing_is_known():
    found = look(policy("leverage", "<=", 2))

    assert (found.metrics, found.positions, found.risk_level, found.fresh) == ({}, (), RiskLevel.UNKNOWN, False)
    assert (limit(found, "leverage").value, limit(found, "leverage").holds) == (None, None)


def test_a_record_that_cannot_be_read_counts_as_none():
    assert look(state=b"{}").risk_level is RiskLevel.UNKNOWN


def test_a_stale_state_is_shown_and_said_to_be_stale():
    found = look(state=state(received_at_us=NOW - 6 * SECOND))

    assert (found.fresh, found.state_age_ms) == (False, 6000)
    assert found.metrics["margin_available"] == 100_000


def test_a_stale_price_is_shown_and_said_to_be_stale():
    found = look(state=state(position(1)), price_age_us=6 * SECOND)

    assert (found.fresh, found.stale_prices, found.missing_prices) == (False, ("BTCUSDT",), ())
    assert found.metrics["gross_exposure"] == 50_000


def test_without_a_price_the_account_cannot_be_valued():
    found = look(policy("leverage", "<=", 2), state=state(position(1)), BTCUSDT="")

    assert (found.missing_prices, found.metrics, found.risk_level) == (("BTCUSDT",), {}, RiskLevel.UNKNOWN)


def test_headroom_is_what_is_left_of_a_limit():
    found = look(policy("gross_exposure", "<=", 80_000), state=state(position(1)))

    shown = limit(found, "gross_exposure")
    assert (shown.value, shown.headroom, shown.utilisation, shown.holds) == (
        Decimal(50_000),
        Decimal(30_000),
        Decimal("0.625"),
        True,
    )


def test_headroom_of_a_broken_limit_is_below_zero():
    found = look(policy("margin_available", ">=", 150_000), state=state())

    assert (limit(found, "margin_available").headroom, limit(found, "margin_available").holds) == (
        Decimal(-50_000),
        False,
    )


def test_equity_that_is_gone_breaks_every_ratio_beyond_measure():
    found = look(policy("leverage", "<=", 2), state=state(position(1), equity=0))

    shown = limit(found, "leverage")
    assert (shown.value, shown.utilisation, shown.headroom, shown.holds) == (None, None, None, False)
    assert found.risk_level is RiskLevel.CRITICAL


@pytest.mark.parametrize(
    ("most", "level"), [(100_000, RiskLevel.INFO), (66_666, RiskLevel.WARNING), (55_555, RiskLevel.CRITICAL)]
)
def test_the_risk_level_is_that_of_the_binding_limit(most, level):
    found = look(policy("gross_exposure", "<=", most), state=state(position(1)))

    assert found.risk_level is level
    assert found.binding_limit is not None
    assert found.binding_limit.policy_id == "gross_exposure"


def test_a_limit_on_symbols_is_shown_for_each():
    found = look(
        policy("position_value", "<=", 100_000),
        state=state(position(1), position("-10", "ETHUSDT")),
    )

    assert limit(found, "position_value", "BTCUSDT").value == 50_000
    assert limit(found, "position_value", "ETHUSDT").value == 30_000


def test_a_limit_on_a_symbol_without_a_position_is_not_used():
    found = look(policy("position_value", "<=", 500, **scoped(Scope.SYMBOL, "ETHUSDT")), state=state(position(1)))

    assert [each.symbol for each in found.limits if each.policy_id == "position_value"] == ["ETHUSDT"]
    assert limit(found, "position_value", "ETHUSDT").value == 0


@pytest.mark.parametrize(
    ("scope", "is_there"),
    [
        (scoped(Scope.ACCOUNT, "A"), True),
        (scoped(Scope.ACCOUNT, "B"), False),
        (scoped(Scope.PROFILE, "free"), True),
        (scoped(Scope.PROFILE, "micro"), False),
        (scoped(Scope.STRATEGY, "s"), True),
    ],
)
def test_limits_of_others_are_not_shown(scope, is_there):
    found = look(policy("leverage", "<=", 2, id="mine", **scope), state=state())

    assert any(each.policy_id == "mine" for each in found.limits) is is_there


def test_the_bounds_of_the_profile_are_shown():
    names = {each.policy_id for each in look(state=state()).limits}

    assert "profile:free:leverage" in names


def test_a_limit_on_orders_has_no_value_without_one():
    found = look(policy("order_notional", "<=", 5), state=state())

    shown = limit(found, "order_notional")
    assert (shown.value, shown.threshold, shown.holds) == (None, Decimal(5), None)
    assert found.risk_level is RiskLevel.INFO


def test_the_days_turnover_is_shown():
    ledger = Ledger(daily_notional=Decimal(7), day_end_us=NOW + SECOND)

    found = look(policy("daily_notional", "<=", 10), state=state(), ledger=ledger)

    assert (limit(found, "daily_notional").value, limit(found, "daily_notional").headroom) == (Decimal(7), Decimal(3))


def test_every_figure_of_the_day_is_shown_without_an_order():
    for metric in OF_THE_DAY:
        assert limit(look(policy(metric, "<=", 1), state=state()), metric).value == 0


def test_the_days_orders_for_each_trade_are_shown():
    ledger = Ledger(daily_orders=7, daily_fills=3, day_end_us=NOW + SECOND)

    found = look(policy("order_to_trade", "<=", 4), state=state(), ledger=ledger)

    shown = limit(found, "order_to_trade")
    assert (shown.value, shown.headroom, shown.holds) == (Decimal("2.333333"), Decimal("1.666667"), True)


def test_counts_are_those_of_the_fullest_window():
    now_slice = NOW // SECOND
    ledger = Ledger(
        rates={
            "r:one": RateWindow(SECOND, now_slice, (2,)),
            "r:two": RateWindow(SECOND, now_slice, (5,)),
            "rr": RateWindow(SECOND, now_slice, (9,)),
        }
    )

    found = look(
        builders.rate("order_rate", 10, id="r", **scoped(Scope.STRATEGY, "one", "two")),
        state=state(),
        ledger=ledger,
    )

    assert limit(found, "r").value == 5


def test_rejects_in_a_row_are_shown_while_the_last_is_recent():
    ledger = Ledger(consecutive_rejects=4, last_reject_us=NOW - 5 * SECOND)

    for window_s, expected in ((10, 4), (4, 0)):
        found = look(builders.rate("consecutive_rejects", 9, window_s, id="r"), state=state(), ledger=ledger)
        assert limit(found, "r").value == expected


def test_open_orders_count_at_their_worst_until_they_run_out():
    held = builders.reservation(quantity=1)
    ledger = reserve(Ledger(), held)

    open_ = look(state=state(), ledger=ledger)
    over = look(state=state(), ledger=ledger, expired=(held,))

    assert (open_.metrics["gross_exposure"], open_.metrics["open_orders"]) == (Decimal(50_000), Decimal(1))
    assert open_.positions[0].open_buy_quantity == 1
    assert (over.metrics["gross_exposure"], over.metrics["open_orders"]) == (Decimal(0), Decimal(0))


def test_reservations_that_are_not_in_the_sums_are_not_taken_out():
    with pytest.raises(ValueError, match="not in the open orders"):
        look(state=state(), ledger=Ledger(), expired=(builders.reservation(),))


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        (Stop(id="1"), TradingState.HALTED),
        (Stop(id="1", state=TradingState.REDUCING), TradingState.REDUCING),
        (Stop(id="1", scope=StopScope.ACCOUNT, scope_id="A"), TradingState.HALTED),
        (Stop(id="1", scope=StopScope.ACCOUNT, scope_id="B"), TradingState.ACTIVE),
        (Stop(id="1", scope=StopScope.EXCHANGE, scope_id="X"), TradingState.HALTED),
        (Stop(id="1", scope=StopScope.SYMBOL, scope_id="BTCUSDT"), TradingState.ACTIVE),
    ],
)
def test_the_trading_state_is_that_of_all_its_orders(stop, expected):
    found = look(book={"accounts": (builders.account(exchange="X"),)}, stops=(stop,))

    assert found.trading_state is expected


def test_an_account_that_the_book_does_not_have_is_unknown():
    with pytest.raises(KeyError):
        look(book={"accounts": ()})


def test_a_limit_of_an_exchange_is_on_what_is_held_there():
    there, elsewhere = position(1, exchange="X"), position(1, "ETHUSDT", exchange="Y")

    found = look(policy("position_value", "<=", 100_000, **scoped(Scope.EXCHANGE, "X")), state=state(there, elsewhere))

    of_exchange = [each for each in found.limits if each.policy_id == "position_value"]
    assert [(each.symbol, each.exchange) for each in of_exchange] == [("BTCUSDT", "X")]


def test_a_limit_of_several_exchanges_is_shown_for_each():
    held = state(position(1, exchange="X"), position(2, exchange="Y"), position(1, "ETHUSDT"))

    found = look(policy("gross_exposure", "<=", 100_000, **scoped(Scope.EXCHANGE, "X", "Y")), state=held)

    of_exchange = [each for each in found.limits if each.policy_id == "gross_exposure"]
    assert [(each.exchange, each.value) for each in of_exchange] == [("X", Decimal(53_000)), ("Y", Decimal(103_000))]
    assert [each.holds for each in of_exchange] == [True, False]


def test_a_limit_of_an_exchange_has_no_value_in_an_account_that_cannot_be_valued():
    limits = policy("gross_exposure", "<=", 1, **scoped(Scope.EXCHANGE, "X"))

    found = look(limits, state=state(position(1, "NEVER-PRICED")))

    assert [each.value for each in found.limits if each.policy_id == "gross_exposure"] == [None]


def test_a_limit_on_symbols_is_shown_where_nothing_is_held():
    found = look(policy("position_value", "<=", 100_000), state=state())

    assert limit(found, "position_value").utilisation == 0


def test_an_equality_has_no_headroom():
    found = look(policy("open_positions", "==", 0), state=state())

    assert (limit(found, "open_positions").headroom, limit(found, "open_positions").holds) == (None, True)


def test_open_orders_are_in_the_leg_of_their_position():
    held = builders.holding(builders.reservation(2), builders.reservation(1, symbol="ETHUSDT"))

    found = look(state=state(position(1)), ledger=held, price_age_us=6 * SECOND)

    assert found.stale_prices == ("BTCUSDT", "ETHUSDT")
    assert {each.symbol: each.open_buy_quantity for each in found.positions} == {"BTCUSDT": 2, "ETHUSDT": 1}
