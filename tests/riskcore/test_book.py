"""The policy book: immutable, numbered, hashed by content; compiled, it finds the limits of an order."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from riskcore import compiled as compiled_module
from riskcore.book import Book, Parameters, Scope, content_hash, decode_book, encode_book
from riskcore.compiled import CompiledBook
from tests.riskcore.builders import (
    account,
    book,
    check,
    compiled,
    instrument,
    metrics_of,
    order,
    policy,
    profile,
    restriction,
    scoped,
    soft,
)

FULL = book(
    policy("leverage", "<=", 10),
    soft("drawdown_daily", "<=", "0.1", **scoped(Scope.ACCOUNT, "A")),
    restrictions=(restriction(),),
    instruments=(instrument(tick_size="0.1"),),
)


def ids_for(under: CompiledBook, **what) -> list[str]:
    """The ids of the policies, not of profile bounds, that hold for an order."""
    wanted = order(1, **what)
    limits = under.limits_for(wanted, under.accounts["A"], wanted.exchange).limits
    return [limit.policy.id for limit in limits if not limit.policy.id.startswith("profile:")]


# ---------------------------------------------------------------------------------------------- its content


def hash_of(one: Book) -> str:
    return content_hash(encode_book(one))


def test_a_book_that_is_none_is_not_read() -> None:
    for content in (b"", b"null", b"{}", b'{"version":"1"}', encode_book(FULL)[:-1]):
        with pytest.raises(msgspec.DecodeError):
            decode_book(content)


def test_a_book_reads_as_it_was_written() -> None:
    assert decode_book(encode_book(FULL)) == FULL


def test_the_same_content_has_the_same_hash_whatever_its_number() -> None:
    assert hash_of(FULL) == hash_of(msgspec.structs.replace(FULL, version=99))


def test_another_threshold_or_parameter_has_another_hash() -> None:
    others = [
        book(policy("leverage", "<=", 11)),
        book(policy("leverage", "<", 10)),
        book(policy("leverage", "<=", 10), parameters=Parameters(market_slippage=Decimal("0.002"))),
        book(policy("leverage", "<=", 10), accounts=(account(enabled=False),)),
    ]
    hashes = {hash_of(one) for one in [book(policy("leverage", "<=", 10)), *others]}
    assert len(hashes) == 5


# ------------------------------------------------------------------------------------- what is not published


def test_a_policy_on_an_unknown_metric_is_refused() -> None:
    with pytest.raises(ValueError, match="no metric 'astrology'"):
        compiled(policy("astrology", "<=", 1))
    with pytest.raises(ValueError, match="no metric 'astrology'"):
        compiled(policy("astrology", "<=", 1, **scoped(Scope.ACCOUNT, "B")))


@pytest.mark.parametrize("metric", ["order_rate", "repeated_orders", "consecutive_rejects"])
def test_a_counting_policy_without_a_window_is_refused(metric: str) -> None:
    with pytest.raises(ValueError, match="window_s must be above 0"):
        compiled(policy(metric, "<=", 5))
    compiled(policy(metric, "<=", 5, window_s=1))


@pytest.mark.parametrize("rate", ["0", "-0.1", "NaN"])
def test_a_book_under_which_nothing_needs_margin_is_refused(rate: str) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        compiled(parameters=Parameters(default_margin_rate=Decimal(rate)))


# ------------------------------------------------------------------------------------------------- its scopes


@pytest.mark.parametrize(
    ("scope", "mine", "field"),
    [
        (Scope.EXCHANGE, "binance", "exchange"),
        (Scope.STRATEGY, "momentum", "strategy_id"),
        (Scope.SYMBOL, "ETHUSDT", "symbol"),
    ],
)
def test_a_scoped_policy_holds_for_the_orders_in_its_scope_only(scope: Scope, mine: str, field: str) -> None:
    under = compiled(policy("leverage", "<=", 1, **scoped(scope, "another", mine)))
    assert ids_for(under, **{"exchange": "elsewhere", field: "other"}) == []
    assert ids_for(under, **{"exchange": "elsewhere", field: mine}) == ["leverage"]


def test_an_order_whose_exchange_nobody_knows_is_in_the_scope_of_every_exchange() -> None:
    under = compiled(
        policy("leverage", "<=", 1, id="one", **scoped(Scope.EXCHANGE, "binance")),
        policy("leverage", "<=", 2, id="two", **scoped(Scope.EXCHANGE, "kraken", "okx")),
    )
    assert ids_for(under) == ["one", "two"]


def test_a_policy_on_an_account_or_profile_holds_for_no_other() -> None:
    under = compiled(
        policy("leverage", "<=", 1, id="mine", **scoped(Scope.ACCOUNT, "A")),
        policy("leverage", "<=", 1, id="yours", **scoped(Scope.ACCOUNT, "B")),
        policy("leverage", "<=", 1, id="my profile", **scoped(Scope.PROFILE, "free")),
        policy("leverage", "<=", 1, id="your profile", **scoped(Scope.PROFILE, "tight")),
    )
    assert sorted(ids_for(under)) == ["mine", "my profile"]


def test_a_global_policy_holds_for_every_order() -> None:
    under = compiled(policy("leverage", "<=", 1))
    assert ids_for(under) == ids_for(under, symbol="ETHUSDT", strategy_id="x", exchange="y") == ["leverage"]


def test_an_account_has_the_bounds_of_its_own_profile_only() -> None:
    under = compiled(
        profiles=(profile("tight", allowed_leverage=Decimal(1)), profile("wide", allowed_leverage=Decimal(5))),
        accounts=(account("A", "tight"), account("B", "wide")),
    )
    bounds = under.limits_for(order(1, account_id="B"), under.accounts["B"], "").limits
    assert {limit.policy.id.split(":")[1] for limit in bounds} == {"wide"}
    assert len(bounds) == 5


def test_orders_that_the_same_policies_are_on_share_what_is_made_of_them() -> None:
    on_one = policy("order_quantity", "<=", 1, **scoped(Scope.SYMBOL, "ETHUSDT"))
    under = compiled(policy("leverage", "<=", 1), on_one)
    first, same, other = (
        under.limits_for(order(1, symbol=symbol), under.accounts["A"], "") for symbol in ("BTCUSDT", "XYZ", "ETHUSDT")
    )
    assert first is same
    assert len(other.limits) == len(first.limits) + 1


def test_limits_are_found_again_after_the_memory_of_combinations_was_full(monkeypatch) -> None:
    monkeypatch.setattr(compiled_module, "_COMBINATIONS", 2)
    under = compiled(policy("leverage", "<=", 1, **scoped(Scope.SYMBOL, "ETHUSDT")))
    for _ in range(2):
        for symbol in ("BTCUSDT", "ETHUSDT", "AAA", "BBB"):
            assert ids_for(under, symbol=symbol) == (["leverage"] if symbol == "ETHUSDT" else [])


# ------------------------------------------------------------------------------------------ several at once


def test_of_several_limits_on_one_metric_the_tightest_wins_and_all_are_reported() -> None:
    wide, middle, tight = (policy("leverage", "<=", bound, id=f"max {bound}") for bound in ("0.9", "0.7", "0.4"))
    decision = check(order(1), wide, middle, tight)
    assert [breach.policy_id for breach in decision.violations] == ["max 0.4"]
    decision = check(order(2), wide, middle, tight)
    assert [breach.policy_id for breach in decision.violations] == ["max 0.4", "max 0.7", "max 0.9"]
    assert decision.message.startswith("Limit on leverage: leverage 1.000000 breaks <= 0.4")


def test_of_several_floors_the_highest_is_the_tightest() -> None:
    decision = check(order(2), *(policy("margin_ratio", ">=", bound, id=f"min {bound}") for bound in (11, 15, 12)))
    assert [breach.policy_id for breach in decision.violations] == ["min 15", "min 12", "min 11"]


def test_a_lower_priority_number_is_reported_first() -> None:
    decision = check(
        order(1),
        policy("leverage", "<=", "0.1", priority=50),
        policy("gross_exposure", "<=", 10, priority=60),
        policy("concentration", "<=", "0.1", priority=40),
    )
    assert metrics_of(decision.violations) == ["concentration", "leverage", "gross_exposure"]
    assert "concentration" in decision.message


def test_a_tighter_limit_of_a_narrower_scope_counts_beside_a_global_one() -> None:
    limits = (
        policy("position_value", "<=", 1_000_000, id="all"),
        policy("position_value", "<=", 10_000, id="btc", **scoped(Scope.SYMBOL, "BTCUSDT")),
    )
    assert not check(order(1), *limits).approved
    assert check(order(1, symbol="ETHUSDT"), *limits).approved
