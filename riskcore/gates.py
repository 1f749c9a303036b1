"""The gates of SPEC 3 that stop at the first failure, each a function: a case in, a refusal or None out.

Gates 1 to 7 are here, in their order. The limits of gates 7, 8, 10 and 11 and the margin of gate 9 need the
figures of the account and are put together in `decide`.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from riskcore.book import Restriction
from riskcore.calendar import moment
from riskcore.case import Case, has_price
from riskcore.decimals import ZERO, is_multiple
from riskcore.reasons import Reason
from riskcore.types import OrderType, RiskLevel, TradingState


class Refusal(Struct, frozen=True, gc=False):
    """Why an order stops here: the code for machines, the sentence for people."""

    reason: Reason
    message: str


GateFunction = Callable[[Case], Refusal | None]


def well_formed(case: Case) -> Refusal | None:
    """Gate 1: the order makes sense and fits the instrument's tick, lot and bounds where they are known."""
    order = case.order
    if not order.quantity.is_finite() or order.quantity <= ZERO:
        return Refusal(Reason.INVALID_ORDER, "quantity: must be a number above 0")
    if not order.price.is_finite() or order.price < ZERO:
        return Refusal(Reason.INVALID_ORDER, "price: must be a number, 0 or above")
    if not order.leverage.is_finite() or order.leverage < ZERO:
        return Refusal(Reason.INVALID_ORDER, "leverage: must be a number, 0 or above")
    if has_price(order) and not order.price:
        return Refusal(Reason.INVALID_ORDER, f"price: a {order.order_type} order needs one")
    if order.order_type is OrderType.MARKET and order.price:
        return Refusal(Reason.INVALID_ORDER, "price: a MARKET order has none; send 0 or leave it out")
    instrument = case.instrument
    if instrument is None:
        return None
    if instrument.tick_size and not is_multiple(order.price, instrument.tick_size):
        return Refusal(Reason.INVALID_ORDER, f"price: {order.price} is not a multiple of {instrument.tick_size}")
    if instrument.lot_size and not is_multiple(order.quantity, instrument.lot_size):
        return Refusal(Reason.INVALID_ORDER, f"quantity: {order.quantity} is not a multiple of {instrument.lot_size}")
    if order.quantity < instrument.min_quantity:
        return Refusal(Reason.INVALID_ORDER, f"quantity: {order.quantity} is below {instrument.min_quantity}")
    if instrument.max_quantity and order.quantity > instrument.max_quantity:
        return Refusal(Reason.INVALID_ORDER, f"quantity: {order.quantity} is above {instrument.max_quantity}")
    return None


def emergency_stop(case: Case) -> Refusal | None:
    """Gate 2: no stop covers the order; one in REDUCING lets through what strictly reduces a position."""
    if case.trading_state is TradingState.ACTIVE:
        return None
    if case.trading_state is TradingState.REDUCING and case.reducing:
        return None
    return Refusal(Reason.EMERGENCY_STOP_ACTIVE, f"trading is {case.trading_state} for this order")


def global_risk(case: Case) -> Refusal | None:
    """Gate 3: the firm as a whole is not at its limits, as far as the monitor knows; what reduces passes.

    A signal that is too old says nothing any more. Where nobody knows, the settings say whether orders go on.
    """
    if case.reducing:
        return None
    signal, parameters = case.inputs.signal, case.parameters
    if signal is None or case.inputs.now_us - signal.at_us > parameters.monitor_max_age_us:
        if not parameters.silence_blocks:
            return None
        return Refusal(Reason.GLOBAL_RISK_CRITICAL, "nobody knows the risk of the firm: the monitor is silent")
    if signal.action_required:
        text = "the risk of the firm demands action; only reducing orders pass"
        return Refusal(Reason.EMERGENCY_ACTION_REQUIRED, text)
    if signal.risk_level is RiskLevel.CRITICAL:
        return Refusal(Reason.GLOBAL_RISK_CRITICAL, "the firm is at its limits; only reducing orders pass")
    return None


def restricted_symbol(case: Case) -> Refusal | None:
    """Gate 4: the symbol is not restricted for this side and account at this moment."""
    for restriction in case.book.restrictions.get(case.order.symbol, ()):
        if _applies(restriction, case) and not (restriction.close_only and case.reducing):
            until = f" until {moment(restriction.until_us):%Y-%m-%d %H:%M:%S} UTC" if restriction.until_us else ""
            kind = "may only be closed" if restriction.close_only else "is restricted"
            return Refusal(Reason.SYMBOL_BLOCKED, f"{restriction.symbol} {kind}{until}: {restriction.reason}")
    return None


def _applies(restriction: Restriction, case: Case) -> bool:
    return (
        restriction.side in (None, case.order.side)
        and restriction.account_id in ("", case.order.account_id)
        and (not restriction.until_us or case.inputs.now_us < restriction.until_us)
    )


def known_account(case: Case) -> Refusal | None:
    """Gate 5: officers know the account and have enabled it, and its capital profile is published."""
    account = case.account
    if account is None:
        return Refusal(Reason.UNKNOWN_ACCOUNT, f"account {case.order.account_id} is not known")
    if not account.enabled:
        return Refusal(Reason.UNKNOWN_ACCOUNT, f"account {account.id} is disabled")
    if account.profile not in case.book.profiles:
        return Refusal(Reason.UNKNOWN_ACCOUNT, f"account {account.id} has no capital profile in force")
    return None


def fresh_state(case: Case) -> Refusal | None:
    """Gate 5: the account's state can be read and is fresh."""
    if not case.readable:
        return Refusal(Reason.STALE_ACCOUNT_STATE, f"the records of account {case.order.account_id} are unreadable")
    state = case.state
    if state is None:
        return Refusal(Reason.STALE_ACCOUNT_STATE, f"no state of account {case.order.account_id} has been reported")
    if not state.received_at_us:
        text = f"of account {state.account_id} positions and P&L have not both been reported"
        return Refusal(Reason.STALE_ACCOUNT_STATE, text)
    age = case.state_age_us
    most = case.parameters.state_max_age_us
    if age > most:
        shown = f"{age / 1_000_000:.1f} s old, at most {most / 1_000_000:g} s is accepted"
        return Refusal(Reason.STALE_ACCOUNT_STATE, f"the state of account {state.account_id} is {shown}")
    return None


def reduces_if_it_says_so(case: Case) -> Refusal | None:
    """An order that only reduces strictly reduces the position, counting the orders already open."""
    if case.order.only_reduces and not case.reducing:
        return Refusal(Reason.NOT_REDUCING, f"the order would not strictly reduce a position in {case.order.symbol}")
    return None


def allowed_strategy(case: Case) -> Refusal | None:
    """Gate 6: the account's capital profile allows the strategy; a list of them leaves no order without one."""
    assert case.account is not None  # known_account has passed
    allowed = case.book.profiles[case.account.profile].strategies
    if not allowed or case.order.strategy_id in allowed:
        return None
    named = case.order.strategy_id or "(none named)"
    return Refusal(Reason.STRATEGY_NOT_ALLOWED, f"strategy {named} is not allowed by profile {case.account.profile}")


def not_a_duplicate(case: Case) -> Refusal | None:
    """Gate 7: the order_id has not been used for another order of this account, nor its order been closed."""
    if case.inputs.duplicate:
        text = f"order_id {case.order.order_id} was already used for another order of this account"
        return Refusal(Reason.DUPLICATE_ORDER, text)
    if case.inputs.tail is not None and case.inputs.tail.closed and not case.order.what_if:
        text = f"order_id {case.order.order_id} was reported closed before it was asked about"
        return Refusal(Reason.DUPLICATE_ORDER, text)
    return None


BEFORE_FIGURES: tuple[GateFunction, ...] = (
    well_formed,
    emergency_stop,
    global_risk,
    restricted_symbol,
    known_account,
    fresh_state,
)

AFTER_PRICES: tuple[GateFunction, ...] = (
    reduces_if_it_says_so,
    allowed_strategy,
    not_a_duplicate,
)
