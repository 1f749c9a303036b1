"""Every metric: one function a formula, from SPEC 4 unless another source is named.

A value is a `Decimal`, may be infinite (a margin ratio without margin used), and is None where it is not
defined; a limit on None is breached. Exposure metrics count every open order at its worst (`simulate`).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from riskcore.decimals import INFINITY, ZERO, shown_ratio, tidy
from riskcore.simulate import Exposure, Leg
from riskcore.tail import Tail
from riskcore.types import AccountState


class OrderFacts(Struct, frozen=True, kw_only=True, gc=False):
    """The order itself, as limits see it.

    `price` is its reference price, `deviation` the distance of that from the mark as a fraction. `valued_at`
    is what a unit of it counts as exposure and `notional` what all of it does, in currency; `daily_notional`
    includes this order, and so does `order_to_trade`, the orders of the day over its trades. `average_daily_volume` is
    that of its instrument, 0 where it is not known.
    """

    quantity: Decimal
    price: Decimal
    valued_at: Decimal
    notional: Decimal
    deviation: Decimal
    daily_notional: Decimal
    order_to_trade: Decimal
    average_daily_volume: Decimal


class Subject(Struct, frozen=True, kw_only=True, gc=False):
    """What a limit is evaluated on: an account, one of its legs where there is one, an order where there is one.

    `beside` is the worst-case value of the leg's symbol on the account's other exchanges, in currency. `tail` is
    there where anything asks for value at risk.
    """

    state: AccountState
    exposure: Exposure
    leg: Leg | None = None
    beside: Decimal = ZERO
    order: OrderFacts | None = None
    tail: Tail | None = None


class Kind(StrEnum):
    """What a metric is a figure of.

    An ORDER metric has no value before the order. A COUNTED one has a value only over a limit's own window. A TAIL
    one is of the account, and worked out only where a limit or a reader asks for it.
    """

    ACCOUNT = "account"
    SYMBOL = "symbol"
    ORDER = "order"
    COUNTED = "counted"
    TAIL = "tail"


class Unit(StrEnum):
    CURRENCY = "currency"
    LEVERAGE = "x"
    FRACTION = "fraction"
    COUNT = "count"
    QUANTITY = "quantity"


Value = Callable[[Subject], Decimal | None]
Show = Callable[[Decimal], Decimal]


class Metric(Struct, frozen=True, kw_only=True, gc=False):
    """A named figure. `larger_is_riskier` False: a limit on it is usually a floor (margin ratio).

    `show` rounds a value for show: ratios to six decimals, amounts and counts not at all. `of_state`: it is a figure of
    the reported state alone, which neither an order nor a mark moves. `unknown` says why, where there is no value.
    """

    name: str
    title: str
    unit: Unit
    kind: Kind
    value: Value
    show: Show
    description: str
    unknown: str
    larger_is_riskier: bool = True
    of_state: bool = False


def _over_equity(amount: Decimal, equity: Decimal) -> Decimal | None:
    """Every ratio on equity: not defined, and so breached, once equity is gone."""
    return amount / equity if equity > ZERO else None


def _loss_since(start: Decimal, equity: Decimal) -> Decimal | None:
    if start <= ZERO:
        return None
    return (start - equity) / start if equity < start else ZERO


def gross_exposure(subject: Subject) -> Decimal:
    return subject.exposure.gross


def net_high(subject: Subject) -> Decimal:
    return subject.exposure.net_high


def net_low(subject: Subject) -> Decimal:
    return subject.exposure.net_low


def net_exposure(subject: Subject) -> Decimal:
    """The end of the range of net exposures, over which open orders may fill, that is farther from zero."""
    high, low = subject.exposure.net_high, subject.exposure.net_low
    return high if abs(high) >= abs(low) else low


def leverage(subject: Subject) -> Decimal | None:
    return _over_equity(subject.exposure.gross, subject.state.equity)


def margin_ratio(subject: Subject) -> Decimal | None:
    equity = subject.state.equity
    if equity <= ZERO:
        return None
    margin = subject.state.margin_used + subject.exposure.margin_reserved
    return equity / margin if margin > ZERO else INFINITY


def margin_available(subject: Subject) -> Decimal:
    return subject.state.equity - subject.state.margin_used - subject.exposure.margin_reserved


def drawdown_daily(subject: Subject) -> Decimal | None:
    return _loss_since(subject.state.daily_start_equity, subject.state.equity)


def drawdown_weekly(subject: Subject) -> Decimal | None:
    return _loss_since(subject.state.weekly_start_equity, subject.state.equity)


def drawdown_max(subject: Subject) -> Decimal | None:
    return _loss_since(subject.state.peak_equity, subject.state.equity)


def drawdown_rapid(subject: Subject) -> Decimal | None:
    return subject.state.drawdown_rapid


def daily_pnl(subject: Subject) -> Decimal:
    return subject.state.equity - subject.state.daily_start_equity


def weekly_pnl(subject: Subject) -> Decimal:
    return subject.state.equity - subject.state.weekly_start_equity


def unrealized_pnl(subject: Subject) -> Decimal:
    return subject.exposure.unrealized_pnl


def concentration(subject: Subject) -> Decimal | None:
    return _over_equity(position_value(subject), subject.state.equity)


def position_value(subject: Subject) -> Decimal:
    """The symbol's value on every exchange together: naming another one makes no new room."""
    return subject.leg.worst_value + subject.beside if subject.leg is not None else ZERO


def position_loss(subject: Subject) -> Decimal:
    """Loss of the position held as a fraction of its entry value; 0 in profit or without an entry price."""
    leg = subject.leg
    if leg is None or not leg.quantity or not leg.entry_price:
        return ZERO
    loss = leg.quantity * (leg.entry_price - leg.mark)
    return loss / abs(leg.quantity * leg.entry_price) if loss > ZERO else ZERO


def open_positions(subject: Subject) -> Decimal:
    return Decimal(subject.exposure.open_positions)


def open_orders(subject: Subject) -> Decimal:
    return Decimal(subject.exposure.open_orders)


def pending_notional(subject: Subject) -> Decimal:
    return subject.exposure.pending_notional


def _order(subject: Subject) -> OrderFacts:
    if subject.order is None:
        raise ValueError("a metric of the order was asked for where there is no order")
    return subject.order


def order_quantity(subject: Subject) -> Decimal:
    return _order(subject).quantity


def order_notional(subject: Subject) -> Decimal:
    return _order(subject).notional


def price_deviation(subject: Subject) -> Decimal:
    return _order(subject).deviation


def single_trade_risk(subject: Subject) -> Decimal | None:
    return _over_equity(_order(subject).notional, subject.state.equity)


def order_adv_share(subject: Subject) -> Decimal | None:
    """Not defined where nobody says how much trades in a day: a limit on it then lets nothing through."""
    order = _order(subject)
    return order.quantity / order.average_daily_volume if order.average_daily_volume > ZERO else None


def daily_notional(subject: Subject) -> Decimal:
    return _order(subject).daily_notional


def order_to_trade(subject: Subject) -> Decimal:
    """After Commission Delegated Regulation (EU) 2017/566 (RTS 9), article 3(1)(b); decision 0032 says what differs."""
    return _order(subject).order_to_trade


def _counted(_subject: Subject) -> Decimal:
    raise ValueError("a counted metric has a value only over a limit's own window")


def _tail_measure(measure: str) -> Value:
    def value(subject: Subject) -> Decimal | None:
        return subject.tail.share(measure) if subject.tail is not None else None

    return value


# Titles that do not follow from the name.
_TITLES = {
    "drawdown_daily": "Daily drawdown",
    "drawdown_weekly": "Weekly drawdown",
    "drawdown_max": "Drawdown from the peak",
    "drawdown_rapid": "Rapid drawdown",
    "daily_pnl": "Daily P&L",
    "weekly_pnl": "Weekly P&L",
    "unrealized_pnl": "Unrealised P&L",
    "var_95": "95 % value at risk",
    "var_99": "99 % value at risk",
    "es_95": "95 % expected shortfall",
    "es_99": "99 % expected shortfall",
    "order_adv_share": "Share of average daily volume",
    "order_to_trade": "Order-to-trade ratio",
}
# Why a value is not defined.
_NO_EQUITY = "equity is not above zero"
_UNKNOWN: dict[Value, str] = {order_adv_share: "the average daily volume of the instrument is not known"}
_OF_STATE = (drawdown_daily, drawdown_weekly, drawdown_max, drawdown_rapid, daily_pnl, weekly_pnl)
_SHOW: dict[Unit, Show] = {Unit.LEVERAGE: shown_ratio, Unit.FRACTION: shown_ratio, Unit.COUNT: Decimal}


def _metric(
    value: Value,
    unit: Unit,
    kind: Kind,
    description: str,
    *,
    name: str = "",
    larger_is_riskier: bool = True,
) -> Metric:
    name = name or value.__name__
    return Metric(
        name=name,
        title=_TITLES.get(name) or name.replace("_", " ").capitalize(),
        unit=unit,
        kind=kind,
        value=value,
        show=_SHOW.get(unit, tidy),
        description=description,
        larger_is_riskier=larger_is_riskier,
        of_state=value in _OF_STATE,
        unknown=_UNKNOWN.get(value, _NO_EQUITY),
    )


def _floor(value: Value, unit: Unit, description: str) -> Metric:
    return _metric(value, unit, Kind.ACCOUNT, description, larger_is_riskier=False)


def _tail(measure: str, description: str) -> Metric:
    return _metric(_tail_measure(measure), Unit.FRACTION, Kind.TAIL, description, name=measure)


def _count(name: str, description: str) -> Metric:
    return _metric(_counted, Unit.COUNT, Kind.COUNTED, description, name=name)


# A loss as a fraction of its start equity is the drawdown since that start: two names, one formula.
_DAY_LOSS = "Loss since the trading day's start / equity at that start."
_WEEK_LOSS = "Loss since the trading week's start / equity at that start."

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _metric(gross_exposure, Unit.CURRENCY, Kind.ACCOUNT, "Sum of |position| x mark, open orders at worst."),
        _metric(net_exposure, Unit.CURRENCY, Kind.ACCOUNT, "Sum of position x mark, open orders at worst."),
        _metric(leverage, Unit.LEVERAGE, Kind.ACCOUNT, "Gross exposure with worst-case open orders / equity."),
        _floor(margin_ratio, Unit.LEVERAGE, "Equity / margin used and reserved."),
        _floor(margin_available, Unit.CURRENCY, "Equity less margin used and reserved."),
        _metric(drawdown_daily, Unit.FRACTION, Kind.ACCOUNT, "Fall of equity since the trading day's start."),
        _metric(drawdown_weekly, Unit.FRACTION, Kind.ACCOUNT, "Fall of equity since the trading week's start."),
        _metric(drawdown_max, Unit.FRACTION, Kind.ACCOUNT, "Fall of equity since its peak."),
        _metric(drawdown_rapid, Unit.FRACTION, Kind.ACCOUNT, "Largest fall of equity within the last minutes."),
        _floor(daily_pnl, Unit.CURRENCY, "Equity less equity at the day's start."),
        _floor(weekly_pnl, Unit.CURRENCY, "Equity less equity at the week's start."),
        _floor(unrealized_pnl, Unit.CURRENCY, "Sum of position x (mark - entry price)."),
        _metric(concentration, Unit.FRACTION, Kind.SYMBOL, "Value of the symbol's position / equity."),
        _metric(
            position_value,
            Unit.CURRENCY,
            Kind.SYMBOL,
            "|Position| x mark of the symbol, open orders at worst.",
        ),
        _metric(position_loss, Unit.FRACTION, Kind.SYMBOL, "Loss of the symbol's position / its entry value."),
        _metric(open_positions, Unit.COUNT, Kind.ACCOUNT, "Symbols with a position, open orders at worst."),
        _metric(open_orders, Unit.COUNT, Kind.ACCOUNT, "Approved orders not yet closed."),
        _metric(pending_notional, Unit.CURRENCY, Kind.ACCOUNT, "Sum of the notional of approved open orders."),
        _metric(order_quantity, Unit.QUANTITY, Kind.ORDER, "Quantity of the order."),
        _metric(order_notional, Unit.CURRENCY, Kind.ORDER, "Quantity x reference price of the order."),
        _metric(price_deviation, Unit.FRACTION, Kind.ORDER, "Distance of the order's price from the mark."),
        _metric(single_trade_risk, Unit.FRACTION, Kind.ORDER, "Notional of the order / equity."),
        _metric(
            order_adv_share,
            Unit.FRACTION,
            Kind.ORDER,
            "Quantity of the order / what trades of its instrument on a usual day.",
        ),
        _metric(daily_notional, Unit.CURRENCY, Kind.ORDER, "Notional approved this trading day with this order."),
        _metric(
            order_to_trade,
            Unit.LEVERAGE,
            Kind.ORDER,
            "Orders asked for this trading day with this order / trades of the day, at least 1.",
        ),
        _metric(drawdown_daily, Unit.FRACTION, Kind.ACCOUNT, _DAY_LOSS, name="daily_loss"),
        _metric(drawdown_weekly, Unit.FRACTION, Kind.ACCOUNT, _WEEK_LOSS, name="weekly_loss"),
        _tail("var_95", "One-day loss / equity that 5 % of past days exceed, open orders at worst."),
        _tail("var_99", "One-day loss / equity that 1 % of past days exceed, open orders at worst."),
        _tail("es_95", "Mean one-day loss / equity on the worst 5 % of past days, open orders at worst."),
        _tail("es_99", "Mean one-day loss / equity on the worst 1 % of past days, open orders at worst."),
        _count("order_rate", "Orders asked for within the window."),
        _count("repeated_orders", "Identical orders in a row, each within the window of the one before."),
        _count("consecutive_rejects", "Blocked orders in a row, the last of them within the window."),
    )
}

# The metrics a decision shows: of the account and of the order's symbol, with the order in them.
SHOWN = tuple(metric for metric in METRICS.values() if metric.kind in (Kind.ACCOUNT, Kind.SYMBOL))

# The window of these metrics is part of the limit; every other metric has none.
WINDOWED = frozenset(metric.name for metric in METRICS.values() if metric.kind is Kind.COUNTED)

# Orders are refused on these by gate 7 (message controls) and gate 8 (order controls), before any simulation.
MESSAGE_CONTROLS = frozenset({"order_rate", "repeated_orders"})
ORDER_CONTROLS = frozenset(
    {
        "order_quantity",
        "order_notional",
        "price_deviation",
        "order_adv_share",
        "order_to_trade",
        "open_orders",
        "consecutive_rejects",
        "daily_notional",
    }
)
