"""One account at a glance: its level, its score, and the limits that do not hold. The firm likewise."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, localcontext
from typing import Any

import msgspec
import numpy as np
import pytest

from riskcore.book import Account, Returns, Scope
from riskcore.compiled import CompiledBook
from riskcore.decimals import EXACT
from riskcore.firm_sums import Adder, FirmPart, FirmSums, summand, together
from riskcore.glance import Glance, glance, unknown
from riskcore.held import Feed, Valued, marks_of, read_held, value
from riskcore.ledger import encode_ledger
from riskcore.limit_set import LimitSet, LimitSets
from riskcore.metrics import METRICS, Kind, concentration, position_loss, position_value
from riskcore.part import AccountPart
from riskcore.types import Ledger, Position, RiskLevel
from tests.riskcore.builders import (
    NOW,
    SELL,
    account,
    compiled,
    holding,
    marks,
    policy,
    position,
    profile,
    rate,
    reservation,
    scoped,
    soft,
    state,
)

D = Decimal


def valued(*positions: Position, under: CompiledBook, ledger: Ledger | None = None, **what: Any) -> Valued:
    content = msgspec.json.encode(state(*positions, **what))
    held = read_held(content, None if ledger is None else encode_ledger(ledger), ())
    assert held is not None
    found = marks_of(held, Feed(marks(), NOW, under.parameters))
    assert found is not None
    return value(held, found)


def look(*positions: Position, under: CompiledBook, of: Account | None = None, **what: Any) -> Glance:
    """Look at an account that has 100,000 of equity."""
    limits = LimitSets(under).of(of or account())
    with localcontext(EXACT):
        part = AccountPart(valued(*positions, under=under, **what), under, NOW, tail=bool(limits.of_tail))
        return glance("A", part, limits, under.parameters)


def sum_up(accounts: Iterable[Valued], limits: LimitSet) -> FirmSums:
    adder = Adder()
    for each in accounts:
        adder.add(summand(each, limits))
    sums = adder.sums()
    assert sums is not None
    return sums


def look_at_firm(*accounts: Valued, under: CompiledBook) -> Glance:
    limits = LimitSets(under).of_firm
    with localcontext(EXACT):
        sums = sum_up(accounts, limits)
        return glance("", FirmPart(sums, under, NOW, tail=bool(limits.of_tail)), limits, under.parameters)


def broken(found: Glance) -> list[tuple[str, str, str]]:
    return [(reading.limit.policy.id, reading.symbol, reading.exchange) for reading in found.broken]


def history(*symbols: str) -> Returns:
    values = np.random.default_rng(1).normal(0, 0.02, (len(symbols), 60))
    return Returns(
        version="r", symbols=symbols, days=60, since="2025-11-01", until="2026-01-06", values=values.tobytes()
    )


# ------------------------------------------------------------------------------------------------ the account


def test_what_cannot_be_valued_is_unknown() -> None:
    found = unknown("A")
    assert (found.account_id, found.level, found.score, found.whole) == ("A", RiskLevel.UNKNOWN, None, None)
    assert found.broken == ()


def test_without_limits_all_is_well() -> None:
    found = look(position(1), under=compiled(profiles=()))
    assert (found.level, found.score, found.broken) == (RiskLevel.INFO, D(0), ())


@pytest.mark.parametrize(
    ("quantity", "level", "score"), [(7, RiskLevel.INFO, 70), (8, RiskLevel.WARNING, 80), (9, RiskLevel.CRITICAL, 90)]
)
def test_the_score_is_that_of_the_limit_that_is_used_most(quantity: int, level: RiskLevel, score: int) -> None:
    under = compiled(policy("gross_exposure", "<=", 500_000), policy("leverage", "<=", 100))
    found = look(position(quantity), under=under)
    assert (found.level, found.score, found.broken) == (level, D(score), ())


def test_a_soft_limit_has_no_part_in_the_score() -> None:
    limits = soft("gross_exposure", "<=", 400_000), soft("net_exposure", "<=", 500_000)
    found = look(position(9), under=compiled(*limits, profiles=()))
    assert (found.level, found.score, broken(found)) == (RiskLevel.INFO, D(0), [("gross_exposure", "", "")])


def test_a_broken_limit_is_a_reading_with_its_figure() -> None:
    found = look(position(9), under=compiled(policy("gross_exposure", "<=", 400_000)))
    (reading,) = found.broken
    assert reading.finding is not None
    assert (reading.finding.value, reading.finding.holds) == (D(450_000), False)
    assert (found.level, found.score) == (RiskLevel.CRITICAL, D(100))


@pytest.mark.parametrize("metric", ["gross_exposure", "position_value"])
def test_of_two_limits_on_a_figure_one_may_hold(metric: str) -> None:
    limits = policy(metric, "<=", 500_000, id="wide"), soft(metric, "<=", 400_000, id="tight")
    found = look(position(9), under=compiled(*limits))
    assert (found.score, [name for name, _, _ in broken(found)]) == (D(90), ["tight"])


def test_of_two_limits_with_one_bound_the_one_that_excludes_it_is_tighter() -> None:
    limits = policy("gross_exposure", "<=", 450_000, id="at most"), policy("gross_exposure", "<", 450_000, id="below")
    assert [name for name, _, _ in broken(look(position(9), under=compiled(*limits)))] == ["below"]


def test_what_must_be_equal_or_must_not_has_no_tighter_one() -> None:
    limits = policy("open_positions", "==", 1, id="one"), policy("open_positions", "==", 2, id="two")
    other = policy("open_positions", "!=", 1, id="not one")
    assert [name for name, _, _ in broken(look(position(9), under=compiled(*limits, other)))] == ["two", "not one"]


def test_what_is_not_defined_breaks_every_limit_on_it() -> None:
    limits = (policy("leverage", "<=", 10, id="one"), policy("leverage", "<=", 20, id="two"))
    found = look(position(1), under=compiled(*limits, policy("net_exposure", "<=", 10**9)), equity=0)
    # The bounds of the profile are limits like any other.
    assert ("one", "", "") in broken(found)
    assert ("profile:free:leverage", "", "") in broken(found)
    assert found.score == 100


def test_limits_on_orders_and_on_messages_are_not_of_the_account() -> None:
    found = look(position(1), under=compiled(policy("daily_notional", "<=", 0), rate("order_rate", 0)))
    assert found.broken == ()


def test_what_is_broken_comes_in_the_order_of_the_book() -> None:
    under = compiled(
        policy("position_value", "<=", 1, id="first"),
        policy("gross_exposure", "<=", 1, id="second", **scoped(Scope.ACCOUNT, "A")),
        policy("gross_exposure", "<=", 2, id="third"),
        profiles=(profile("free", max_open_positions=0),),
    )
    found = [name for name, _, _ in broken(look(position(1), under=under))]
    assert found == ["first", "second", "third", "profile:free:open_positions"]


# ------------------------------------------------------------------------------------------------- whose limits


@pytest.mark.parametrize(
    ("scope", "is_on"),
    [
        (scoped(Scope.ACCOUNT, "A"), True),
        (scoped(Scope.ACCOUNT, "B"), False),
        (scoped(Scope.PROFILE, "free"), True),
        (scoped(Scope.PROFILE, "tight"), False),
        (scoped(Scope.STRATEGY, "grid"), True),
        (scoped(Scope.SYMBOL, "ETHUSDT"), True),
    ],
)
def test_an_account_has_the_limits_in_whose_scope_it_may_be(scope: dict[str, Any], is_on: bool) -> None:
    found = look(position(1), under=compiled(policy("gross_exposure", "<=", 1, **scope)))
    assert bool(found.broken) is is_on


def test_accounts_with_the_same_limits_share_them() -> None:
    under = compiled(policy("leverage", "<=", 1, **scoped(Scope.ACCOUNT, "B", "C")))
    limits = LimitSets(under)
    assert limits.of(account("B")) is limits.of(account("C"))
    assert limits.of(account("A")) is not limits.of(account("B"))


# ----------------------------------------------------------------------------------------------------- symbols


def test_every_figure_of_a_symbol_is_known_by_what_is_worst() -> None:
    """`AccountPart.worst` goes by losses for one of them, and by value for the others."""
    found = {metric.value for metric in METRICS.values() if metric.kind is Kind.SYMBOL}
    assert found == {position_loss, position_value, concentration}


def test_a_cap_on_each_symbol_is_used_by_the_leg_that_has_most() -> None:
    found = look(position(1), position(20, "ETHUSDT"), under=compiled(policy("position_value", "<=", 100_000)))
    assert (found.score, found.broken) == (D(60), ())


def test_a_cap_that_one_leg_breaks_names_each_that_does() -> None:
    held = [position(1), position(20, "ETHUSDT"), position("0.1", exchange="ONE")]
    found = look(*held, under=compiled(policy("position_value", "<=", 55_000)))
    assert broken(found) == [
        ("position_value", "ETHUSDT", ""),
    ]
    found = look(*held, under=compiled(policy("concentration", "<=", "0.54")))
    # What is on two exchanges counts together.
    assert broken(found) == [
        ("concentration", "BTCUSDT", ""),
        ("concentration", "ETHUSDT", ""),
        ("concentration", "BTCUSDT", "ONE"),
    ]


def test_a_floor_on_each_symbol_is_held_against_every_leg() -> None:
    found = look(position(1), position(1, "ETHUSDT"), under=compiled(policy("position_value", ">=", 5_000)))
    assert broken(found) == [("position_value", "ETHUSDT", "")]


def test_the_worst_loss_is_a_fraction_of_what_was_paid() -> None:
    held = [position(1, entry_price=52_000), position(-1, "ETHUSDT", entry_price=2_000), position(1, exchange="ONE")]
    found = look(*held, under=compiled(policy("position_loss", "<=", "0.6"), profiles=()))
    assert found.score == D("83.34")
    assert broken(look(*held, under=compiled(policy("position_loss", "<=", "0.3")))) == [
        ("position_loss", "ETHUSDT", "")
    ]


def test_without_an_entry_price_nothing_is_lost() -> None:
    found = look(position(-1, entry_price=0), under=compiled(policy("position_loss", "<=", "0.3"), profiles=()))
    assert found.score == 0


def test_a_limit_on_some_symbols_is_held_against_those() -> None:
    limit = policy("position_value", "<=", 10_000, **scoped(Scope.SYMBOL, "ETHUSDT", "XRPUSDT"))
    assert look(position(9), position(1, "ETHUSDT"), under=compiled(limit)).broken == ()
    assert broken(look(position(9), position(4, "ETHUSDT"), under=compiled(limit))) == [
        ("position_value", "ETHUSDT", "")
    ]


def test_of_a_symbol_that_a_limit_names_there_may_be_nothing() -> None:
    limit = policy("position_value", ">=", 10_000, **scoped(Scope.SYMBOL, "XRPUSDT", "ETHUSDT"))
    found = look(position(9), under=compiled(limit))
    assert broken(found) == [("position_value", "ETHUSDT", ""), ("position_value", "XRPUSDT", "")]


def test_where_nothing_is_held_a_limit_on_each_symbol_is_held_against_nothing() -> None:
    assert look(under=compiled(policy("position_value", "<=", 1))).broken == ()
    assert broken(look(under=compiled(policy("position_value", ">", 0)))) == [("position_value", "", "")]


# --------------------------------------------------------------------------------------------------- exchanges


def test_a_limit_of_an_exchange_is_on_what_is_there() -> None:
    held = [position(1, exchange="ONE"), position(5, exchange="TWO"), position(1, "ETHUSDT")]
    limit = policy("gross_exposure", "<=", 60_000, **scoped(Scope.EXCHANGE, "ONE", "TWO"))
    assert broken(look(*held, under=compiled(limit))) == [("gross_exposure", "", "TWO")]


def test_a_limit_of_an_exchange_on_each_symbol_names_the_exchange() -> None:
    held = [position(1, exchange="ONE"), position(5, exchange="TWO"), position(1, "ETHUSDT")]
    limit = policy("position_value", "<=", 2_000, **scoped(Scope.EXCHANGE, "ONE"))
    found = broken(look(*held, under=compiled(limit)))
    assert found == [("position_value", "BTCUSDT", "ONE"), ("position_value", "ETHUSDT", "ONE")]


def test_on_an_exchange_where_nothing_is_held_no_symbol_breaks_a_limit() -> None:
    limit = policy("position_value", ">=", 2_000, **scoped(Scope.EXCHANGE, "ONE"))
    assert look(position(1, exchange="TWO"), under=compiled(limit)).broken == ()


# ----------------------------------------------------------------------------------------------- value at risk


def test_value_at_risk_is_worked_out_where_a_limit_asks_for_it() -> None:
    under = compiled(policy("var_99", "<=", "0.001"), returns=history("BTCUSDT", "ETHUSDT"))
    found = look(position(1), under=under)
    assert broken(found) == [("var_99", "", "")]
    assert found.broken[0].finding is not None
    assert found.broken[0].finding.value is not None


def test_why_value_at_risk_is_not_known_is_told() -> None:
    found = look(position(1), under=compiled(policy("var_99", "<=", 1)))
    assert found.broken[0].finding is not None
    assert found.broken[0].finding.unknown == "there is no history of prices"


def test_on_an_exchange_there_is_value_at_risk_too() -> None:
    limit = policy("var_99", "<=", 0, **scoped(Scope.EXCHANGE, "ONE", "TWO"))
    under = compiled(limit, returns=history("BTCUSDT"))
    assert broken(look(position(1, exchange="ONE"), under=under)) == [("var_99", "", "ONE")]


# ---------------------------------------------------------------------------------------------------- the firm


def test_limits_of_global_scope_are_on_the_firm_but_for_those_on_each_account() -> None:
    under = compiled(
        policy("gross_exposure", "<=", 120_000),
        policy("gross_exposure", "<=", 1, id="narrow", **scoped(Scope.ACCOUNT, "A")),
        policy("position_loss", "<=", 0),
        policy("drawdown_rapid", "<=", 0),
        policy("position_value", "<=", 90_000),
    )
    one = valued(position(1, entry_price=60_000), position(1, "ETHUSDT"), under=under)
    other = valued(position(-1), position(5, "ETHUSDT"), under=under)
    found = look_at_firm(one, other, under=under)
    assert broken(found) == [("position_value", "BTCUSDT", "")]
    assert found.whole is not None
    assert found.whole.state.equity == 200_000
    assert found.whole.state.drawdown_rapid is None
    assert (found.whole.exposure.gross, found.whole.exposure.net_high) == (D(118_000), D(18_000))


def test_the_firm_is_as_old_as_its_oldest_account() -> None:
    under = compiled()
    found = look_at_firm(valued(under=under), valued(under=under, received_at_us=NOW - 7), under=under)
    assert found.whole is not None
    assert found.whole.state.received_at_us == NOW - 7


def test_the_firm_has_value_at_risk_where_a_limit_asks_for_it() -> None:
    under = compiled(policy("var_99", "<=", "0.00001"), returns=history("BTCUSDT", "ETHUSDT"))
    long, short = (
        valued(position(2), under=under),
        valued(position(-1), under=under, ledger=holding(reservation(1, SELL))),
    )
    found = look_at_firm(long, short, under=under)
    assert broken(found) == [("var_99", "", "")]
    assert look_at_firm(long, valued(position(-2), under=under), under=under).broken == ()


def test_of_no_accounts_there_are_no_sums() -> None:
    assert Adder().sums() is None
    assert together([]) is None


def test_parts_of_the_firm_add_up_to_it() -> None:
    under = compiled(policy("position_value", "<=", 1), policy("var_99", "<=", 1))
    limits = LimitSets(under).of_firm
    accounts = [valued(position(number), position(number, "ETHUSDT"), under=under) for number in (1, -2, 3)]
    with localcontext(EXACT):
        assert together(sum_up([one], limits) for one in accounts) == sum_up(accounts, limits)


@pytest.mark.parametrize(("metric", "asked"), [("leverage", set()), ("position_value", {"worst"})])
def test_of_symbols_is_added_up_what_a_limit_asks_for(metric: str, asked: set[str]) -> None:
    under = compiled(policy(metric, "<=", 1))
    sums = sum_up([valued(position(1), under=under)], LimitSets(under).of_firm)
    assert {name for name in ("worst", "highs", "lows") if getattr(sums, name)} == asked


def test_the_firm_is_on_no_exchange() -> None:
    under = compiled()
    sums = sum_up([valued(position(1), under=under)], LimitSets(under).of_firm)
    with pytest.raises(ValueError, match="global scope"):
        FirmPart(sums, under, NOW, tail=False).on("ONE", tail=False)
