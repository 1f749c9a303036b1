"""An order as a share of what trades of its instrument on a usual day (gate 8)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from riskcore.book import Instrument, Mode, OnBreach, Override, Policy, Scope, content_hash, decode_book, encode_book
from riskcore.compiled import CompiledBook
from riskcore.reasons import Reason
from riskcore.types import Decision, Verdict
from tests.riskcore.builders import (
    BUY,
    NOW,
    SECOND,
    SELL,
    Number,
    account,
    book,
    check,
    compiled,
    instrument,
    metrics_of,
    order,
    outcome,
    policy,
    position,
    scoped,
    soft,
    state,
)
from tests.riskcore.store import DictStore

D = Decimal
SHARE = policy("order_adv_share", "<=", "0.05")
NOT_KNOWN = (
    "Limit on order_adv_share: order_adv_share undefined (the average daily volume of the instrument is not known) "
    "breaks <= 0.05"
)


def under(*limits: Policy, volume: Number = 40, **what: Any) -> CompiledBook:
    """A book in which 40 BTC trade a day: orders of up to 2 are within SHARE."""
    return compiled(*(limits or (SHARE,)), instruments=(instrument(average_daily_volume=volume),), **what)


def test_more_than_its_share_of_the_days_volume_is_blocked() -> None:
    decision = check(order("2.01"), under=under())
    assert (decision.reason, decision.max_quantity) == (Reason.POLICY_VIOLATION, D(2))
    (breach,) = decision.violations
    assert (breach.metric, breach.value, breach.utilisation) == ("order_adv_share", D("0.05025"), D("1.005"))
    assert decision.message == "Limit on order_adv_share: order_adv_share 0.050250 breaks <= 0.05"


def test_its_share_of_the_days_volume_passes_to_the_last_unit() -> None:
    assert check(order(2), under=under()).approved
    assert not check(order("2.000000000001"), under=under()).approved


@pytest.mark.parametrize("instruments", [(), (instrument(),), (instrument("ETHUSDT", average_daily_volume=9),)])
def test_an_order_of_which_nobody_knows_the_volume_is_blocked_and_told_why(instruments) -> None:
    decision = check(order("0.000000000001"), under=compiled(SHARE, instruments=instruments))
    assert (decision.reason, decision.message) == (Reason.POLICY_VIOLATION, NOT_KNOWN)
    assert (decision.max_quantity, decision.violations[0].value) == (D(0), None)
    assert decision.limit_utilization["order_adv_share"] is None


def test_a_volume_of_zero_is_one_that_nobody_knows() -> None:
    assert check(order(1), under=under(volume=0)).message == NOT_KNOWN


def test_without_a_limit_on_it_nobody_needs_the_volume() -> None:
    assert check(order(1), under=compiled()).approved


def test_the_first_control_that_fails_is_told_alone_and_no_limit_of_the_account() -> None:
    decision = check(order(3), under=under(SHARE, policy("leverage", "<=", "0.1")))
    assert metrics_of(decision.violations) == ["order_adv_share"]


@pytest.mark.parametrize("volume", [0, 40])
def test_what_reduces_a_position_passes_whatever_its_share(volume) -> None:
    decision = check(order(5, SELL), under=under(volume=volume), at=state(position(5)))
    assert decision.approved
    assert metrics_of(decision.warnings) == ["order_adv_share"]


def test_a_smaller_order_is_offered_where_the_limit_allows_that() -> None:
    scaled = policy("order_adv_share", "<=", "0.05", on_breach=OnBreach.SCALE_DOWN)
    decision = check(order(4), under=under(scaled))
    assert (decision.decision, decision.max_quantity, decision.scale_factor) == (Verdict.SCALE_DOWN, D(2), D("0.5"))
    assert check(order(4), under=under(scaled, volume=0)).decision is Verdict.BLOCK


def test_a_soft_limit_warns_and_one_in_shadow_is_only_told() -> None:
    decision = check(order(4), under=under(soft("order_adv_share", "<=", "0.05")))
    assert (decision.approved, metrics_of(decision.warnings)) == (True, ["order_adv_share"])
    decision = check(order(4), under=under(policy("order_adv_share", "<=", "0.05", mode=Mode.SHADOW)))
    assert (decision.approved, metrics_of(decision.shadow_violations or ())) == (True, ["order_adv_share"])


@pytest.mark.parametrize(
    ("scope", "ids", "blocks"),
    [
        (Scope.SYMBOL, ("BTCUSDT",), True),
        (Scope.SYMBOL, ("ETHUSDT",), False),
        (Scope.ACCOUNT, ("A",), True),
        (Scope.PROFILE, ("other",), False),
        (Scope.STRATEGY, ("carry",), True),
        (Scope.EXCHANGE, ("binance",), True),
        (Scope.EXCHANGE, ("bybit",), False),
    ],
)
def test_it_is_on_the_orders_in_its_scope(scope: Scope, ids: tuple[str, ...], *, blocks: bool) -> None:
    of = order(4, exchange="binance", strategy_id="carry")
    limit = policy("order_adv_share", "<=", "0.05", **scoped(scope, *ids))
    assert check(of, under=under(limit)).approved is not blocks


def test_an_override_lets_more_through() -> None:
    granted = Override(id="O", account_id="A", reason="a block trade", until_us=NOW + 60 * SECOND)
    decision = check(order(4), under=under(overrides=(granted,)))
    assert (decision.approved, metrics_of(decision.warnings)) == (True, ["order_adv_share"])


def test_each_order_of_a_batch_is_held_against_it_by_itself_and_so_is_a_what_if() -> None:
    rules = book(SHARE, accounts=(account(),), instruments=(instrument(average_daily_volume=40),))
    store = DictStore(rules, state(equity=10**9))
    answers = store.check(order(2, BUY), order(3, BUY), order(2, BUY), order(3, BUY, what_if=True))
    assert [answer.approved for answer in answers] == [True, False, True, False]


# --------------------------------------------------------------------------------------- what was written before


def test_a_book_of_which_no_volume_is_known_is_written_as_it_always_was() -> None:
    before = (
        b'{"lot_size":"0","margin_rate":"0","max_quantity":"0","min_quantity":"0","order_types":[],'
        b'"symbol":"BTCUSDT","tick_size":"0.1"}'
    )
    written = encode_book(book(instruments=(instrument(tick_size="0.1"),)))
    assert before in written
    assert encode_book(decode_book(written)) == written
    assert content_hash(written) == content_hash(encode_book(decode_book(written)))


def test_a_volume_is_part_of_what_a_book_says() -> None:
    one, other = (book(instruments=(instrument(average_daily_volume=volume),)) for volume in (40, 41))
    assert content_hash(encode_book(one)) != content_hash(encode_book(other))
    assert decode_book(encode_book(one)).instruments == (Instrument(symbol="BTCUSDT", average_daily_volume=D(40)),)


def decided(of: Any, rules: CompiledBook) -> Decision:
    return outcome(of, under=rules, decision_id="d").decision


def test_the_volume_changes_nothing_where_no_limit_is_on_it() -> None:
    limits = (policy("order_quantity", "<=", 3),)
    for of in (order(2), order(4)):
        assert decided(of, under(*limits)) == decided(of, compiled(*limits, instruments=(instrument(),)))
