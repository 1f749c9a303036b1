"""The largest quantity that passes: it does, and one lot more does not, for every metric and operator."""

from __future__ import annotations

from decimal import Decimal, localcontext
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcore.decimals import EXACT, FINEST, floor_to_step
from riskcore.headroom import quantity_step, within_instrument
from riskcore.metrics import METRICS, Kind
from riskcore.types import Order
from tests.riskcore.builders import (
    BUY,
    SELL,
    check,
    compiled,
    holding,
    instrument,
    market,
    order,
    policy,
    position,
    price,
    reservation,
    soft,
    state,
)
from tests.riskcore.test_oracle import number_of_orders
from tests.riskcore.worlds import LOTS, Scene, Step, with_quantity
from tests.support.properties import examples

D = Decimal
LOT = D("0.001")


def largest(of: Order, *policies, volume: Any = 40, **what: Any) -> Decimal:
    """The largest quantity of an order, tried out from both sides on whole lots; 40 a day trade, or nobody knows."""
    rules: dict[str, Any] = {} if volume is None else {"average_daily_volume": volume}
    under = compiled(*policies, instruments=(instrument(lot_size=LOT, **rules),))
    found = check(of, under=under, **what).max_quantity
    assert found is not None
    for quantity, passes in ((found, True), (found + LOT, False)):
        if quantity:
            again = order(quantity, of.side, price=of.price, order_type=of.order_type, leverage=of.leverage)
            assert check(again, under=under, **what).approved is passes, f"{quantity} of at most {found}"
    return found


LONG, SHORT, FLAT = ({"at": state(position(held))} for held in (5, -5, 0))
POOR = state(position(5), equity=20_000)


# ---------------------------------------------------------------------- each limit by itself, worked out by hand


@pytest.mark.parametrize(
    ("metric", "operator", "threshold", "held", "side", "most"),
    [
        ("gross_exposure", "<=", 300_000, LONG, BUY, "1"),
        ("gross_exposure", "<", 300_000, LONG, BUY, "0.999"),
        ("gross_exposure", "<=", 300_000, LONG, SELL, "11"),  # flips to 6 short
        ("gross_exposure", "<=", 300_000, SHORT, BUY, "11"),
        ("gross_exposure", "<=", 300_000, SHORT, SELL, "1"),
        ("gross_exposure", "<=", 200_000, LONG, SELL, "5"),  # broken already: only closing passes
        ("gross_exposure", "<", 200_000, LONG, BUY, "0"),  # broken already, and nothing to close
        ("leverage", "<=", 3, LONG, BUY, "1"),
        ("leverage", "<", 3, SHORT, BUY, "10.999"),
        ("concentration", "<=", 3, LONG, SELL, "11"),
        ("position_value", "<=", 300_000, SHORT, SELL, "1"),
        ("net_exposure", "<=", 300_000, LONG, BUY, "1"),
        ("net_exposure", ">=", -50_000, LONG, SELL, "6"),
        ("net_exposure", ">", -50_000, LONG, SELL, "5.999"),
        ("net_exposure", "<=", 0, SHORT, BUY, "5"),
        ("margin_available", ">=", 95_000, LONG, SELL, "6"),
        ("margin_available", ">", 95_000, LONG, SELL, "5.999"),
        ("margin_available", ">=", 95_000, FLAT, BUY, "1"),
        ("margin_ratio", ">=", 20, FLAT, BUY, "1"),
        ("margin_ratio", ">", 20, FLAT, BUY, "0.999"),
        ("margin_ratio", ">", 20, SHORT, BUY, "5.999"),
        ("margin_ratio", ">=", 30, SHORT, BUY, "5.666"),  # between two lots
        ("margin_ratio", ">", 30, SHORT, BUY, "5.666"),
        ("margin_ratio", ">=", 0, FLAT, BUY, "20"),
        ("margin_ratio", ">", 0, FLAT, BUY, "20"),  # no quantity reaches the bound: margin alone bounds it
        ("net_exposure", "<", 300_000, FLAT, SELL, "20"),
        ("order_quantity", "<=", 3, LONG, BUY, "3"),
        ("order_quantity", "<", 3, LONG, BUY, "2.999"),
        ("order_notional", "<=", 100_000, SHORT, SELL, "2"),
        ("single_trade_risk", "<=", "0.5", FLAT, SELL, "1"),
        ("pending_notional", "<=", 100_000, FLAT, SELL, "2"),
        ("daily_notional", "<=", 100_000, FLAT, BUY, "2"),
        ("order_adv_share", "<=", "0.05", LONG, BUY, "2"),
        ("order_adv_share", "<", "0.05", FLAT, SELL, "1.999"),
        ("order_adv_share", "<=", "0.00001", FLAT, BUY, "0"),  # of 40, less than a lot
        ("order_adv_share", "==", "0.025", FLAT, BUY, "1"),
        ("order_adv_share", "!=", "0.025", LONG, BUY, "0.999"),
        ("order_to_trade", "<=", 1, FLAT, BUY, "20"),
        ("order_to_trade", "<", 1, FLAT, BUY, "0"),  # whatever the quantity is
        ("order_to_trade", "<", 1, LONG, SELL, "5"),  # only closing passes
        ("order_quantity", "==", 1, LONG, BUY, "1"),
        ("order_notional", "==", 50_000, LONG, BUY, "1"),
        ("order_quantity", "!=", 1, LONG, BUY, "0.999"),
        ("position_value", "!=", 300_000, LONG, BUY, "0.999"),
        ("order_quantity", "!=", 2, FLAT, BUY, "20"),
        ("open_positions", "<=", 5, FLAT, BUY, "20"),
        ("open_positions", "<=", 0, FLAT, BUY, "0"),
        ("price_deviation", "<=", "0.01", FLAT, BUY, "20"),
    ],
)
def test_the_room_that_one_limit_leaves(metric, operator, threshold, held, side, most) -> None:
    limit = policy(metric, operator, threshold)
    assert largest(order(1, side), limit, **held) == D(most)


@pytest.mark.parametrize("quantity", ["0.001", 1, 4, 7, 30, 500])
def test_the_room_does_not_depend_on_the_quantity_that_was_asked_for(quantity) -> None:
    """Of a position of 5, under a cap that lets it be flipped to 6."""
    assert largest(order(quantity, SELL), policy("gross_exposure", "<=", 300_000), **LONG) == 11


def test_margin_alone_bounds_an_order() -> None:
    assert largest(order(1), at=state(equity=10_000)) == 2
    assert largest(order(1, leverage=2), at=state(equity=10_000)) == D("0.4")
    assert largest(market(1), at=state(equity=10_000)) == D("1.998")


def test_margin_lets_a_position_be_closed_and_then_flipped_as_far_as_it_goes() -> None:
    assert largest(order(1, SELL), at=POOR) == 9
    assert largest(order(1, SELL), at=POOR, ledger=holding(reservation(3, SELL))) == 6
    assert largest(order(1, SELL), at=state(position(5), equity=0)) == 5
    assert largest(order(50, SELL), at=state(position(5), equity=-10)) == 5


def test_margin_of_the_other_side_is_shared() -> None:
    """Four open buys need 20,000; sells may need as much before more is reserved."""
    assert largest(order(1, SELL), at=state(equity=20_000), ledger=holding(reservation(4, price=50_000))) == 4


def test_nothing_passes_where_the_margin_is_used_up_already() -> None:
    assert largest(order(1), at=state(equity=10_000, margin_used=10_000)) == 0
    assert largest(order(1), at=state(equity=10_000, margin_used=12_000)) == 0
    assert largest(order(1, SELL), at=state(position(5), equity=10_000, margin_used=12_000)) == 5


def test_the_tightest_of_several_limits_leaves_the_room() -> None:
    limits = (policy("leverage", "<=", 2), policy("order_notional", "<=", 70_000), policy("order_quantity", "<", 3))
    assert largest(order(1), *limits) == D("1.4")


@pytest.mark.parametrize(
    ("metric", "operator", "bounds"), [("leverage", "<=", (2, 1)), ("margin_ratio", ">=", (9, 20))]
)
def test_of_several_limits_on_one_metric_the_tightest_leaves_the_room(metric, operator, bounds) -> None:
    wide, tight = (policy(metric, operator, bound, id=f"at {bound}") for bound in bounds)
    room = largest(order(1), tight)
    assert largest(order(1), wide, tight) == room == largest(order(1), tight, wide) < largest(order(1), wide)


def test_a_soft_limit_takes_no_room() -> None:
    assert largest(order(1), soft("order_quantity", "<=", "0.5")) == 20


def test_two_limits_that_forbid_one_value_together_leave_what_is_below_it() -> None:
    limits = (policy("gross_exposure", "<=", 100_000), policy("order_quantity", "!=", 2))
    assert largest(order(1), *limits) == D("1.999")
    assert largest(order(3), *limits) == D("1.999")
    assert largest(order("1.999"), *limits) == D("1.999")


@pytest.mark.parametrize("metric", ["gross_exposure", "leverage", "concentration", "single_trade_risk"])
def test_no_equity_no_room(metric: str) -> None:
    broke = state(equity=-1)
    assert largest(order(1), policy(metric, "<=", 10**9), at=broke) == 0


@pytest.mark.parametrize("operator", ["<=", "<", ">=", "==", "!="])
def test_no_known_volume_no_room_but_to_close(operator: str) -> None:
    share = policy("order_adv_share", operator, "0.5")
    assert largest(order(1), share, volume=None) == 0
    assert largest(order(1, SELL), share, volume=None, **LONG) == 5
    assert check(order(1), share).max_quantity == 0  # there is no instrument at all


def test_no_equity_no_margin_ratio_that_leaves_room() -> None:
    broke = state(equity=0, daily_start_equity=1, weekly_start_equity=1)
    assert largest(order(1), policy("margin_ratio", ">=", 1), at=broke) == 0


# --------------------------------------------------------------------------------------- what may be sent


def test_the_step_of_quantities_is_the_lot_or_the_finest_that_the_wire_takes() -> None:
    assert quantity_step(instrument(lot_size="0.5")) == D("0.5")
    assert quantity_step(instrument()) == quantity_step(None) == D("1E-12")


def test_a_quantity_is_kept_to_what_the_instrument_takes() -> None:
    bounds = instrument(min_quantity=2, max_quantity=5)
    assert [within_instrument(D(value), bounds) for value in (1, 2, 5, 6)] == [0, 2, 5, 5]
    assert within_instrument(D(7), None) == within_instrument(D(7), instrument()) == 7


def test_the_largest_quantity_is_one_that_may_be_sent() -> None:
    under = compiled(instruments=(instrument(lot_size="0.3", min_quantity="0.6", max_quantity=3),))
    assert check(order("0.6"), under=under).max_quantity == 3
    assert check(order("0.6"), under=under, at=state(equity=10_000)).max_quantity == D("1.8")
    assert check(order("0.6"), under=under, at=state(equity=2_900)).max_quantity == 0


# ------------------------------------------------------------------------------------------- at random

# More of an order helps a floor under what it enlarges and a cap over what it uses up: there is no largest quantity.
SMALLER_WITH_AN_ORDER = {"margin_ratio", "margin_available"}
OF_QUANTITY = {
    "gross_exposure",
    "net_exposure",
    "leverage",
    "concentration",
    "position_value",
    "pending_notional",
    "order_quantity",
    "order_notional",
    "single_trade_risk",
    "daily_notional",
    "order_adv_share",
    "open_positions",
    "open_orders",
} | SMALLER_WITH_AN_ORDER


def more_may_help(scene: Scene) -> bool:
    for limit in scene.policies:
        floor = limit.operator in (">=", ">")
        if limit.type != "soft" and limit.metric in OF_QUANTITY and limit.operator not in ("==", "!="):
            if limit.metric == "net_exposure":
                continue
            if floor is not (limit.metric in SMALLER_WITH_AN_ORDER):
                return True
    return False


def spared_an_inequality(step: Step) -> bool:
    """A reducing order that breaks != is told what closes, though a larger one might break it no more."""
    return "strictly reduces" in step.decision.message and any(
        limit.operator == "!=" for limit in step.book.book.policies
    )


def assert_largest(scene: Scene, step: Step) -> None:
    found = step.decision.max_quantity
    assert found is not None
    with localcontext(EXACT):
        one_more = found + LOTS[step.inputs.order.symbol]
    if found:
        assert with_quantity(step, found).approved
    if more_may_help(scene) or spared_an_inequality(step):
        return
    assert not with_quantity(step, one_more).approved
    if not any(limit.operator in ("==", "!=") for limit in scene.policies):
        with localcontext(EXACT):
            less, more = floor_to_step(found / 3, LOTS[step.inputs.order.symbol]), found * 3
        assert not less or with_quantity(step, less).approved
        assert not more or not with_quantity(step, more).approved


@pytest.mark.no_cover
@pytest.mark.parametrize("part", range(4))
def test_the_largest_quantity_passes_and_one_lot_more_does_not(part: int) -> None:
    tried = flips = 0
    for seed in range(part, 3_000, 4):
        random = Random(seed)
        scene = Scene(random)
        for step in scene.orders(number_of_orders(random)):
            if step.decision.max_quantity is not None:
                assert_largest(scene, step)
                tried += not more_may_help(scene)
                held = step.world.quantity(step.working.leg)
                flips += held != 0 and (held > 0) is not step.working.buys and step.working.quantity > abs(held)
    assert tried > 500
    assert flips > 50


@pytest.mark.no_cover
@given(st.randoms(use_true_random=False))
@examples(400)
def test_no_largest_quantity_that_can_be_shrunk_is_wrong_either(random: Random) -> None:
    scene = Scene(random)
    for step in scene.orders(number_of_orders(random)):
        if step.decision.max_quantity is not None:
            assert_largest(scene, step)


def test_every_metric_that_an_order_moves_is_known_here() -> None:
    for name, metric in METRICS.items():
        if metric.kind is Kind.ORDER:
            assert name in OF_QUANTITY or name in ("price_deviation", "order_to_trade")


@pytest.mark.parametrize("each", ["1", "0.001", "0.00001", "0.000000001"])
def test_the_room_to_flip_a_position_in_something_cheap_is_exact(each: str) -> None:
    """A third of the equity may be margin, which no decimal is; the quantity goes down to twelve decimals."""
    decision = check(
        order(1, SELL, symbol="SHIB", price=each),
        policy("margin_ratio", ">=", 3),
        at=state(position(5, "SHIB"), equity=100),
        prices={"SHIB": price(each)},
    )
    with localcontext(EXACT):
        assert decision.max_quantity == floor_to_step(5 + D(1000) / 3 / D(each), FINEST)


def test_the_room_to_flip_beside_dearer_orders_is_what_their_margin_leaves() -> None:
    """Eight are held, and a sell of two at ten times the margin is open: what opens counts as the dearest."""
    dear = holding(reservation(2, SELL, margin_rate=1))
    held = {"at": state(position(8), equity=100_000), "ledger": dear}
    assert largest(order(1, SELL), **held) == 8
    assert largest(order(1, SELL), **{**held, "at": state(position(8), equity=150_000)}) == 10
