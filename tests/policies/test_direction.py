"""Which way each difference of two books goes, and that a sentence says why."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from policies.direction import RULES, Direction, Judged, judge, loosest
from riskcore.book import (
    Account,
    Book,
    Instrument,
    Mode,
    OnBreach,
    Parameters,
    Policy,
    PolicyType,
    Profile,
    Returns,
    Scope,
    VolatilityScale,
)
from riskcore.schedule import ActiveWindow
from riskcore.types import OrderType, Side
from tests.riskcore.builders import NOW, account, book, instrument, policy, profile, rate, restriction, scoped, soft

MORNING = ActiveWindow(days=(0, 1), from_minute=480, to_minute=720)
EVENING = replace(MORNING, from_minute=1080, to_minute=1320)
SCALE = VolatilityScale(symbol="BTCUSDT", reference=Decimal("0.5"))

TIGHTENS, LOOSENS = Direction.TIGHTENS, Direction.LOOSENS
NEUTRAL, UNCLEAR = Direction.NEUTRAL, Direction.UNCLEAR


def only(before: Book, after: Book) -> Judged:
    """The one difference of two books."""
    (judged,) = judge(before, after)
    return judged


def of_limit(before: Policy, after: Policy, **what: Any) -> Judged:
    return only(book(before, **what), book(after, **what))


def of_setting(name: str, before: Any, after: Any, *policies: Policy) -> Judged:
    old, new = Parameters(**{name: before}), Parameters(**{name: after})
    return only(book(*policies, parameters=old), book(*policies, parameters=new))


# ------------------------------------------------------------------------------------------------- limits
@pytest.mark.parametrize(
    ("operator", "before", "after", "direction", "why"),
    [
        ("<=", 10, 8, TIGHTENS, "a lower ceiling on leverage"),
        ("<=", 10, 12, LOOSENS, "a higher ceiling on leverage"),
        ("<", 10, 8, TIGHTENS, "a lower ceiling on leverage"),
        (">=", 10, 12, TIGHTENS, "a higher floor under leverage"),
        (">=", 10, 8, LOOSENS, "a lower floor under leverage"),
        (">", 10, 8, LOOSENS, "a lower floor under leverage"),
        ("<=", -10, -12, TIGHTENS, "a lower ceiling on leverage"),
        ("==", 10, 8, UNCLEAR, "the values that it allows are others, neither fewer nor more"),
        ("!=", 10, 8, UNCLEAR, "the values that it allows are others, neither fewer nor more"),
    ],
)
def test_a_threshold(operator, before, after, direction, why):
    judged = of_limit(policy("leverage", operator, before), policy("leverage", operator, after))
    assert (judged.part, judged.name, judged.field) == ("policies", "Limit on leverage", "threshold")
    assert (judged.before, judged.after) == (Decimal(before), Decimal(after))
    assert (judged.direction, judged.why) == (direction, why)


@pytest.mark.parametrize(
    ("before", "after", "direction"),
    [
        ("<=", "<", TIGHTENS),
        ("<", "<=", LOOSENS),
        (">=", ">", TIGHTENS),
        (">", ">=", LOOSENS),
        ("<=", ">=", UNCLEAR),
        ("<=", "==", UNCLEAR),
        ("!=", "<", UNCLEAR),
    ],
)
def test_an_operator(before, after, direction):
    assert of_limit(policy("leverage", before, 10), policy("leverage", after, 10)).direction is direction


def test_operator_and_threshold_are_judged_together():
    judged = judge(book(policy("leverage", "<", 10)), book(policy("leverage", "<=", 8)))
    assert [(each.field, each.direction) for each in judged] == [("operator", TIGHTENS), ("threshold", TIGHTENS)]


def test_another_metric_cannot_be_compared_whatever_its_threshold():
    judged = judge(book(policy("leverage", "<=", 10, id="L")), book(policy("open_orders", "<=", 1, id="L")))
    assert {each.field: each.direction for each in judged} == {
        "name": NEUTRAL,
        "metric": UNCLEAR,
        "threshold": UNCLEAR,
    }


@pytest.mark.parametrize(
    ("before", "after", "direction", "why"),
    [
        ("hard", "soft", LOOSENS, "it only warns"),
        ("soft", "hard", TIGHTENS, "it blocks and not only warns"),
        ("hard", "emergency", TIGHTENS, "a breach also stops trading"),
        ("emergency", "hard", LOOSENS, "a breach no longer stops trading"),
        ("soft", "emergency", TIGHTENS, "a breach also stops trading"),
        ("emergency", "soft", LOOSENS, "it only warns"),
    ],
)
def test_a_type(before, after, direction, why):
    one = policy("leverage", "<=", 10, type=PolicyType(before))
    judged = of_limit(one, replace(one, type=PolicyType(after)))
    assert (judged.direction, judged.why) == (direction, why)


SYMBOL_A, SYMBOLS_AB = scoped(Scope.SYMBOL, "A"), scoped(Scope.SYMBOL, "A", "B")


@pytest.mark.parametrize(
    ("before", "after", "direction", "why"),
    [
        (SYMBOL_A, SYMBOLS_AB, TIGHTENS, "symbol B under this limit as well"),
        (SYMBOLS_AB, SYMBOL_A, LOOSENS, "symbol B no longer under this limit"),
        (SYMBOL_A, scoped(Scope.SYMBOL, "B"), LOOSENS, "symbol A no longer under this limit"),
        (SYMBOL_A, {}, TIGHTENS, "every account is under this limit"),
        ({}, SYMBOLS_AB, LOOSENS, "only symbol A and B left under this limit"),
        (SYMBOL_A, scoped(Scope.ACCOUNT, "A"), UNCLEAR, "it covers something else"),
        (
            scoped(Scope.EXCHANGE, "A"),
            {},
            UNCLEAR,
            "on one exchange it limits what is there, elsewhere the whole account",
        ),
        (
            {},
            scoped(Scope.EXCHANGE, "A"),
            UNCLEAR,
            "on one exchange it limits what is there, elsewhere the whole account",
        ),
    ],
)
def test_a_scope(before, after, direction, why):
    judged = judge(book(policy("leverage", "<=", 10, **before)), book(policy("leverage", "<=", 10, **after)))
    assert {(each.direction, each.why) for each in judged} == {(direction, why)}


def test_a_rate_of_each_symbol_that_becomes_one_of_all_is_counted_from_the_beginning():
    judged = judge(book(rate("order_rate", 10, **SYMBOL_A)), book(rate("order_rate", 10)))
    assert loosest(judged) is UNCLEAR


def test_a_rate_of_some_accounts_that_becomes_one_of_all_goes_on_counting():
    judged = judge(book(rate("order_rate", 10, **scoped(Scope.ACCOUNT, "A"))), book(rate("order_rate", 10)))
    assert loosest(judged) is TIGHTENS


@pytest.mark.parametrize("metric", ["order_rate", "repeated_orders", "consecutive_rejects"])
def test_more_is_counted_over_a_longer_window(metric):
    assert of_limit(rate(metric, 5, 10), rate(metric, 5, 20)).direction is TIGHTENS
    assert of_limit(rate(metric, 5, 10), rate(metric, 5, 5)).direction is LOOSENS


def test_a_floor_under_what_is_counted_is_easier_to_keep_over_a_longer_window():
    one = policy("order_rate", ">=", 5, window_s=10)
    assert of_limit(one, replace(one, window_s=20)).direction is LOOSENS


def test_an_equality_on_what_is_counted_cannot_be_told():
    one = policy("order_rate", "==", 5, window_s=10)
    assert of_limit(one, replace(one, window_s=20)).direction is UNCLEAR


def test_to_offer_a_smaller_order_loosens():
    block = policy("leverage", "<=", 10)
    offer = replace(block, on_breach=OnBreach.SCALE_DOWN)
    assert of_limit(block, offer).direction is LOOSENS
    assert of_limit(offer, block).direction is TIGHTENS


@pytest.mark.parametrize(("field", "value"), [("name", "Another"), ("priority", 5)])
def test_how_a_limit_is_called_and_told_is_neutral(field, value):
    one = policy("leverage", "<=", 10)
    assert of_limit(one, replace(one, **{field: value})).direction is NEUTRAL


def test_a_new_version_of_a_row_that_says_the_same_is_no_difference():
    one = policy("leverage", "<=", 10)
    assert judge(book(one), book(replace(one, version=2))) == ()


def test_a_limit_that_is_added_tightens_and_one_that_is_removed_loosens():
    one = policy("leverage", "<=", 10)
    added, removed = only(book(), book(one)), only(book(one), book())
    assert (added.field, added.before, added.after, added.direction) == ("added", None, one, TIGHTENS)
    assert (removed.field, removed.before, removed.after, removed.direction) == ("removed", one, None, LOOSENS)


@pytest.mark.parametrize(
    ("field", "before", "after", "direction"),
    [
        ("mode", Mode.ENFORCE, Mode.SHADOW, LOOSENS),
        ("mode", Mode.SHADOW, Mode.ENFORCE, TIGHTENS),
        ("active", (), (MORNING,), LOOSENS),
        ("active", (MORNING,), (), TIGHTENS),
        ("active", (MORNING,), (MORNING, EVENING), TIGHTENS),
        ("active", (MORNING, EVENING), (MORNING,), LOOSENS),
        ("active", (MORNING, EVENING), (EVENING, MORNING), NEUTRAL),
        ("active", (MORNING,), (EVENING,), UNCLEAR),
        ("active", (MORNING,), (replace(MORNING, days=()),), TIGHTENS),
        ("active", (MORNING,), (replace(MORNING, days=(0,)),), LOOSENS),
        ("active", (MORNING,), (replace(MORNING, since="2026-01-01"),), LOOSENS),
        ("active", (replace(MORNING, until="2026-01-01"),), (replace(MORNING, until="2027-01-01"),), TIGHTENS),
        ("active", (MORNING,), (replace(MORNING, from_minute=0),), UNCLEAR),
        ("active", (MORNING,), (replace(MORNING, zone="Asia/Tokyo"),), UNCLEAR),
        ("effective_from_us", 0, NOW, LOOSENS),
        ("effective_from_us", NOW, NOW - 1, TIGHTENS),
        ("effective_until_us", 0, NOW, LOOSENS),
        ("effective_until_us", NOW, 0, TIGHTENS),
        ("effective_until_us", NOW, NOW + 1, TIGHTENS),
        ("effective_until_us", NOW, NOW - 1, LOOSENS),
        ("rollout_percent", 10, 30, TIGHTENS),
        ("rollout_percent", 100, 30, LOOSENS),
        ("volatility", None, SCALE, TIGHTENS),
        ("volatility", SCALE, None, LOOSENS),
        ("volatility", None, replace(SCALE, most=Decimal(2)), UNCLEAR),
        ("volatility", None, replace(SCALE, least=Decimal(1), most=Decimal(2)), LOOSENS),
        ("volatility", SCALE, replace(SCALE, reference=Decimal("0.4")), TIGHTENS),
        ("volatility", SCALE, replace(SCALE, least=Decimal("0.8")), LOOSENS),
        ("volatility", SCALE, replace(SCALE, reference=Decimal("0.4"), least=Decimal("0.8")), UNCLEAR),
        ("volatility", SCALE, replace(SCALE, symbol="ETHUSDT"), UNCLEAR),
    ],
)
def test_when_where_and_how_far_a_limit_holds(field, before, after, direction):
    one = policy("leverage", "<=", 10, **{field: before})
    assert of_limit(one, replace(one, **{field: after})).direction is direction


def test_another_test_group_reaches_other_accounts():
    one = policy("leverage", "<=", 10, rollout_percent=50, test_group="a")
    assert of_limit(one, replace(one, test_group="b")).direction is UNCLEAR
    assert loosest(judge(book(one), book(replace(one, test_group="b", rollout_percent=60)))) is UNCLEAR
    assert loosest(judge(book(one), book(replace(one, test_group="b", rollout_percent=100)))) is NEUTRAL


def test_a_limit_that_is_only_recorded_comes_and_goes_without_effect():
    shadow = policy("leverage", "<=", 10, mode=Mode.SHADOW)
    assert only(book(), book(shadow)).direction is NEUTRAL
    assert only(book(shadow), book()).direction is NEUTRAL


def test_a_limit_that_only_warns_may_be_added_as_well():
    assert only(book(), book(soft("leverage", "<=", 10))).why == "a new limit that warns"


# ----------------------------------------------------------------------------------------------- profiles
@pytest.mark.parametrize(
    "field",
    ["allowed_leverage", "max_single_trade_risk", "max_daily_loss", "max_weekly_loss", "max_open_positions"],
)
def test_a_bound_of_a_profile(field):
    wide, narrow = replace(profile(), **{field: 10}), replace(profile(), **{field: 5})
    assert only(book(profiles=(wide,)), book(profiles=(narrow,))).direction is TIGHTENS
    assert only(book(profiles=(narrow,)), book(profiles=(wide,))).direction is LOOSENS


@pytest.mark.parametrize(
    ("before", "after", "direction", "why"),
    [
        ((), ("s1",), TIGHTENS, "only s1 is allowed"),
        (("s1",), (), LOOSENS, "every strategy is allowed"),
        (("s1", "s2"), ("s1",), TIGHTENS, "strategy s2 no longer allowed"),
        (("s1",), ("s1", "s2", "s3"), LOOSENS, "strategies s2 and s3 allowed as well"),
        (("s1",), ("s2",), LOOSENS, "strategy s2 allowed as well"),
    ],
)
def test_the_strategies_of_a_profile(before, after, direction, why):
    judged = only(book(profiles=(profile(strategies=before),)), book(profiles=(profile(strategies=after),)))
    assert (judged.direction, judged.why) == (direction, why)


def test_a_profile_that_nobody_has_is_neutral():
    both = (profile(), profile("new"))
    assert only(book(), book(profiles=both)).direction is NEUTRAL
    assert only(book(profiles=both), book()).direction is NEUTRAL


def test_a_profile_that_accounts_wait_for_lets_them_trade():
    assert only(book(profiles=()), book()).direction is LOOSENS
    assert only(book(), book(profiles=())).direction is TIGHTENS


# ----------------------------------------------------------------------------------------------- accounts
def moved(before: Profile, after: Profile, *policies: Policy) -> Judged:
    """Account A from one profile to another."""
    both = {"profiles": (before, after)}
    return only(
        book(*policies, **both, accounts=(account("A", before.name),)),
        book(*policies, **both, accounts=(account("A", after.name),)),
    )


LOW, HIGH = profile("low", allowed_leverage=Decimal(2)), profile("high", allowed_leverage=Decimal(5))


def test_another_profile_is_judged_by_its_bounds():
    assert (moved(HIGH, LOW).direction, moved(HIGH, LOW).why) == (
        TIGHTENS,
        "low in place of high: a lower ceiling on leverage",
    )
    assert moved(LOW, HIGH).direction is LOOSENS
    assert moved(LOW, replace(LOW, name="same")).direction is NEUTRAL


def test_a_profile_that_is_tighter_in_one_bound_and_looser_in_another_loosens():
    mixed = replace(LOW, name="mixed", max_open_positions=10**7)
    assert moved(HIGH, mixed).why == "mixed in place of high: a higher ceiling on the number of positions"


def test_a_tighter_profile_that_leaves_a_limit_behind_loosens():
    left = policy("open_orders", "<=", 3, **scoped(Scope.PROFILE, "high"))
    judged = moved(HIGH, LOW, left)
    assert (judged.direction, judged.why) == (LOOSENS, "it is no longer under Limit on open_orders")


def test_a_tighter_profile_under_the_same_limit_tightens():
    assert (
        moved(HIGH, LOW, policy("open_orders", "<=", 3, **scoped(Scope.PROFILE, "high", "low"))).direction is TIGHTENS
    )


@pytest.mark.parametrize(
    ("field", "before", "after", "direction"),
    [
        ("enabled", True, False, TIGHTENS),
        ("enabled", False, True, LOOSENS),
        ("exchange", "", "ONE", UNCLEAR),
        ("reservation_ttl_us", 30_000_000, 90_000_000, TIGHTENS),
        ("reservation_ttl_us", 90_000_000, 30_000_000, LOOSENS),
        ("reservation_ttl_us", 0, 30_000_000, LOOSENS),
        ("reservation_ttl_us", 0, 60_000_000, NEUTRAL),
    ],
)
def test_a_field_of_an_account(field, before, after, direction):
    old, new = account(**{field: before}), account(**{field: after})
    assert only(book(accounts=(old,)), book(accounts=(new,))).direction is direction


def test_one_account_more_may_send_orders():
    assert only(book(accounts=()), book()).direction is LOOSENS
    assert only(book(accounts=()), book(accounts=(account(enabled=False),))).direction is NEUTRAL
    assert only(book(), book(accounts=())).direction is TIGHTENS


# -------------------------------------------------------------------------------------------- instruments
@pytest.mark.parametrize(
    ("field", "before", "after", "direction"),
    [
        ("tick_size", 0, "0.1", TIGHTENS),
        ("tick_size", "0.1", 0, LOOSENS),
        ("tick_size", "0.1", "0.5", TIGHTENS),
        ("tick_size", "0.5", "0.1", LOOSENS),
        ("lot_size", "0.2", "0.3", UNCLEAR),
        ("min_quantity", 1, 2, TIGHTENS),
        ("min_quantity", 1, 0, LOOSENS),
        ("max_quantity", 0, 10, TIGHTENS),
        ("max_quantity", 10, 0, LOOSENS),
        ("max_quantity", 10, 5, TIGHTENS),
        ("max_quantity", 5, 10, LOOSENS),
        ("margin_rate", 0, "0.2", TIGHTENS),
        ("margin_rate", 0, "0.05", LOOSENS),
        ("margin_rate", 0, "0.1", NEUTRAL),
        ("margin_rate", "0.2", "0.1", LOOSENS),
        ("order_types", (), (OrderType.LIMIT,), TIGHTENS),
        ("order_types", (OrderType.LIMIT,), (), LOOSENS),
    ],
)
def test_a_rule_of_an_instrument(field, before, after, direction):
    old, new = instrument(**{field: before}), instrument(**{field: after})
    assert only(book(instruments=(old,)), book(instruments=(new,))).direction is direction


@pytest.mark.parametrize(
    ("before", "after", "operator", "direction", "why"),
    [
        (None, 40, "<=", LOOSENS, "orders under a limit on their share of it are no longer blocked"),
        (40, None, "<=", TIGHTENS, "orders under a limit on their share of it are blocked"),
        (40, 41, "<", LOOSENS, "larger orders are allowed"),
        (40, 39, "<=", TIGHTENS, "only smaller orders are allowed"),
        (40, 39, ">=", UNCLEAR, "another volume makes the limit Limit on order_adv_share easier or harder to keep"),
        (40, None, ">=", TIGHTENS, "orders under a limit on their share of it are blocked"),
    ],
)
def test_the_volume_of_a_day_where_a_limit_is_on_the_share_of_it(before, after, operator, direction, why):
    limit = policy("order_adv_share", operator, "0.05")
    old, new = (instrument(**({"average_daily_volume": each} if each else {})) for each in (before, after))
    judged = only(book(limit, instruments=(old,)), book(limit, instruments=(new,)))
    assert (judged.field, judged.direction, judged.why) == ("average_daily_volume", direction, why)


def test_the_volume_of_a_day_is_neutral_where_no_limit_is_on_the_share_of_it():
    old, new = instrument(), instrument(average_daily_volume=40)
    other = policy("order_quantity", "<=", 1)
    judged = only(book(other, instruments=(old,)), book(other, instruments=(new,)))
    assert (judged.before, judged.after, judged.direction) == (None, 40, NEUTRAL)


def test_more_margin_does_not_tighten_where_a_limit_wants_little_room():
    ceiling = policy("margin_available", "<=", 100, id="Use what you have")
    old, new = instrument(margin_rate="0.1"), instrument(margin_rate="0.2")
    judged = only(book(ceiling, instruments=(old,)), book(ceiling, instruments=(new,)))
    assert (judged.direction, judged.why) == (
        UNCLEAR,
        "margin makes the limit Limit on margin_available easier to keep",
    )


def test_a_new_instrument_is_judged_by_its_rules():
    judged = judge(book(), book(instruments=(instrument(lot_size=1, margin_rate="0.05"),)))
    assert [(each.field, each.direction) for each in judged] == [("lot_size", TIGHTENS), ("margin_rate", LOOSENS)]


def test_a_new_instrument_without_rules_is_neutral():
    assert only(book(), book(instruments=(instrument(),))).direction is NEUTRAL
    assert only(book(instruments=(instrument(),)), book()).direction is NEUTRAL


# ------------------------------------------------------------------------------------------- restrictions
def test_a_restriction_tightens_and_lifting_it_loosens():
    one = restriction()
    assert only(book(), book(restrictions=(one,))).direction is TIGHTENS
    lifted = only(book(restrictions=(one,)), book())
    assert (lifted.field, lifted.before, lifted.after, lifted.direction) == ("lifted", one, None, LOOSENS)


def test_to_lift_a_restriction_whose_time_is_over_is_neither():
    parameters = replace(Parameters(), sender_clock_tolerance_us=2_000_000)
    was = book(restrictions=(restriction(until_us=NOW),), parameters=parameters)
    (over,) = judge(was, book(parameters=parameters), at_us=NOW + 2_000_000)
    assert (over.direction, over.why) == (NEUTRAL, "its time was over")


@pytest.mark.parametrize("at_us", [0, NOW, NOW + 1_999_999], ids=["not known", "its last moment", "a clock is behind"])
def test_to_lift_a_restriction_loosens_as_long_as_it_may_hold_somewhere(at_us):
    parameters = replace(Parameters(), sender_clock_tolerance_us=2_000_000)
    was = book(restrictions=(restriction(until_us=NOW),), parameters=parameters)
    (judged,) = judge(was, book(parameters=parameters), at_us=at_us)
    assert judged.direction is LOOSENS


@pytest.mark.parametrize(
    "wider",
    [
        restriction(),
        restriction(reason="another reason", side=Side.BUY, account_id="A", close_only=True, until_us=NOW + 1),
        restriction(side=Side.BUY, account_id="A"),
    ],
    ids=["everything", "until later", "for ever"],
)
def test_a_restriction_that_another_one_covers_may_go(wider):
    narrow = restriction(side=Side.BUY, account_id="A", close_only=True, until_us=NOW)
    both, one = book(restrictions=(narrow, wider)), book(restrictions=(wider,))
    assert only(both, one).direction is NEUTRAL
    assert only(one, both).direction is NEUTRAL


@pytest.mark.parametrize(
    "other",
    [
        {"symbol": "ETHUSDT"},
        {"side": Side.SELL},
        {"account_id": "B"},
        {"close_only": True},
        {"until_us": NOW - 1},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_restriction_that_no_other_one_covers_may_not(other):
    one = restriction(side=Side.BUY, account_id="A", until_us=NOW)
    both = (one, replace(one, **other))
    assert only(book(restrictions=both), book(restrictions=both[1:])).direction is LOOSENS


# ----------------------------------------------------------------------------------------------- settings
@pytest.mark.parametrize(
    ("name", "before", "after", "direction"),
    [
        ("state_max_age_us", 5, 4, TIGHTENS),
        ("price_max_age_us", 4, 5, LOOSENS),
        ("returns_max_age_us", 5, 4, TIGHTENS),
        ("sender_clock_tolerance_us", 5, 4, UNCLEAR),
        ("reservation_ttl_us", 5, 6, TIGHTENS),
        ("reservation_ttl_us", 6, 5, LOOSENS),
        ("default_margin_rate", Decimal("0.1"), Decimal("0.2"), TIGHTENS),
        ("market_slippage", Decimal("0.1"), Decimal("0.2"), TIGHTENS),
        ("warning_utilisation", Decimal("0.1"), Decimal("0.2"), LOOSENS),
        ("critical_utilisation", Decimal("0.2"), Decimal("0.1"), TIGHTENS),
        ("day_zone", "UTC", "Asia/Tokyo", UNCLEAR),
        ("day_roll_minute", 0, 60, UNCLEAR),
        ("rapid_window_us", 5, 6, TIGHTENS),
        ("monitor_max_age_us", 5, 6, TIGHTENS),
        ("monitor_max_age_us", 6, 5, LOOSENS),
        ("silence_blocks", False, True, TIGHTENS),
        ("silence_blocks", True, False, LOOSENS),
    ],
)
def test_a_setting(name, before, after, direction):
    judged = of_setting(name, before, after)
    assert (judged.part, judged.name, judged.field, judged.direction) == ("parameters", "settings", name, direction)


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("default_margin_rate", policy("margin_ratio", "!=", 1)),
        ("market_slippage", policy("order_notional", ">=", 10)),
        ("market_slippage", policy("margin_available", "<", 10)),
        ("rapid_window_us", policy("drawdown_rapid", ">", 0)),
    ],
    ids=["margin", "price", "margin of the price", "fall"],
)
def test_a_setting_that_makes_a_limit_easier_to_keep_cannot_be_told(name, limit):
    assert of_setting(name, Decimal(1), Decimal(2), limit).direction is UNCLEAR


@pytest.mark.parametrize(
    ("was", "now", "shorter", "longer"),
    [
        (True, True, TIGHTENS, LOOSENS),
        (False, True, TIGHTENS, TIGHTENS),
        (True, False, LOOSENS, LOOSENS),
    ],
)
def test_how_long_the_monitor_may_be_silent_depends_on_what_silence_does(was, now, shorter, longer):
    old = Parameters(monitor_max_age_us=5, silence_blocks=was)
    for age, direction in ((4, shorter), (6, longer)):
        new = Parameters(monitor_max_age_us=age, silence_blocks=now)
        judged = {each.field: each for each in judge(book(parameters=old), book(parameters=new))}
        assert judged["monitor_max_age_us"].direction is direction


def test_a_new_history_of_prices_matters_where_a_limit_is_on_value_at_risk():
    history = Returns(version="h2", symbols=("A",), days=1, since="2026-01-01", until="2026-01-01", values=b"")
    assert only(book(), book(returns=history)).direction is NEUTRAL
    tail = policy("var_95", "<=", "0.1")
    judged = only(book(tail, returns=replace(history, version="h1")), book(tail, returns=history))
    assert (judged.before, judged.after, judged.direction) == ("h1", "h2", UNCLEAR)


# ------------------------------------------------------------------------------------------ what is to come
@pytest.mark.parametrize(
    ("part", "item", "known_by"),
    [
        ("policies", Policy, {"id", "version"}),
        ("profiles", Profile, {"name"}),
        ("accounts", Account, {"id"}),
        ("instruments", Instrument, {"symbol"}),
        ("parameters", Parameters, set()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_field_has_a_rule(part, item, known_by):
    assert set(item.__struct_fields__) - known_by == set(RULES[part]) - {"added", "removed"}


def test_every_part_of_a_book_has_rules():
    assert set(Book.__struct_fields__) - {"version"} == set(RULES)


def test_a_part_without_rules_cannot_be_told():
    later: Any = msgspec.defstruct(
        "Later", [("curfews", tuple[str, ...], ())], bases=(Book,), kw_only=True, frozen=True
    )
    old = later(version=1, parameters=Parameters())
    judged = only(old, replace(old, curfews=("one",)))
    assert (judged.part, judged.direction, judged.why) == ("curfews", UNCLEAR, "there is no rule that says")


def test_a_field_without_a_rule_cannot_be_told():
    later: Any = msgspec.defstruct("Later", [("colour", str, "")], bases=(Policy,), kw_only=True, frozen=True)
    plain: dict[str, Any] = msgspec.structs.asdict(policy("leverage", "<=", 10))
    assert of_limit(later(**plain), later(**plain, colour="red")).direction is UNCLEAR


def test_a_metric_of_a_later_version_has_its_own_name():
    one: Policy = policy("leverage", "<=", 10)
    later = replace(one, metric="moon_phase")
    assert of_limit(later, replace(later, threshold=Decimal(5))).why == "a lower ceiling on moon_phase"


# ---------------------------------------------------------------------------------------------- the loosest
def test_the_loosest_of_no_difference_is_neutral():
    assert loosest(()) is NEUTRAL


def test_what_cannot_be_told_counts_as_looser():
    assert [each for each in Direction if each.counts_as_looser] == [UNCLEAR, LOOSENS]


def test_a_book_is_as_loose_as_its_loosest_difference():
    before = book(policy("leverage", "<=", 10), policy("open_orders", "<=", 5))
    after = book(policy("leverage", "<=", 8), policy("open_orders", "<=", 6))
    assert loosest(judge(before, after)) is LOOSENS
