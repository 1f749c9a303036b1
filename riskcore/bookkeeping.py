"""What a decision leaves in the account's ledger: messages counted, rejects, the day's sums, exposure held."""

from __future__ import annotations

from msgspec.structs import replace

from riskcore.book import Parameters, Scope
from riskcore.calendar import day_end_us
from riskcore.decimals import ZERO
from riskcore.ledger import count_message, is_over, messages_in, reserve
from riskcore.limits import Limit
from riskcore.metrics import MESSAGE_CONTROLS
from riskcore.types import Ledger, Order, RateWindow, Reservation


def rate_key(limit: Limit, order: Order, exchange: str) -> str:
    """Return the name under which an account's ledger counts messages for this limit."""
    match limit.policy.scope:
        case Scope.STRATEGY:
            return f"{limit.policy.id}:{order.strategy_id}"
        case Scope.SYMBOL:
            return f"{limit.policy.id}:{order.symbol}"
        case Scope.EXCHANGE:
            return f"{limit.policy.id}:{exchange}"
        case _:
            return limit.policy.id


def identity_of(order: Order) -> str:
    """Return what makes two orders identical apart from their ids."""
    return "|".join(
        (
            order.symbol,
            order.exchange,
            order.side,
            f"{order.quantity.normalize():f}",
            f"{order.price.normalize():f}",
            order.order_type,
            order.strategy_id,
        )
    )


def counted_with(limit: Limit, ledger: Ledger, order: Order, exchange: str, now_us: int) -> int:
    """Return what a counting limit has in its window, this order included, or the rejects before this order."""
    if limit.metric.name in MESSAGE_CONTROLS:
        return messages_in(_count(limit, ledger, order, exchange, now_us), now_us)
    recent = now_us - ledger.last_reject_us <= limit.policy.window_s * 1_000_000
    return ledger.consecutive_rejects if recent else 0


def _count(limit: Limit, ledger: Ledger, order: Order, exchange: str, now_us: int) -> RateWindow:
    kept = ledger.rates.get(rate_key(limit, order, exchange))
    if limit.metric.name == "repeated_orders" and ledger.last_order != identity_of(order):
        kept = None
    return count_message(kept, now_us, limit.policy.window_s)


def keep_decision(
    ledger: Ledger,
    order: Order,
    *,
    exchange: str,
    messages: tuple[Limit, ...],
    now_us: int,
    reservation: Reservation | None,
    rejected: bool,
    parameters: Parameters,
) -> Ledger:
    """Return the ledger after a decision that is not a what-if: its order is one more of the trading day, too.

    `messages` are the limits that count messages. `reservation` is the exposure that an approval holds. `rejected` says
    that the order was blocked and counts as a reject; a block for too many rejects does not, or no account would ever
    get out of it.
    """
    ledger = _roll_day(ledger, now_us, parameters)
    turnover, rejects, last_reject_us = ledger.daily_notional, ledger.consecutive_rejects, ledger.last_reject_us
    if reservation is not None:
        ledger = reserve(ledger, reservation)
        turnover, rejects = turnover + reservation.notional, 0
    elif rejected:
        rejects, last_reject_us = rejects + 1, now_us
    return replace(
        ledger,
        rates=_count_all(ledger, order, exchange, messages, now_us),
        last_order=identity_of(order),
        consecutive_rejects=rejects,
        last_reject_us=last_reject_us,
        daily_notional=turnover,
        daily_orders=ledger.daily_orders + 1,
    )


def count_fill(ledger: Ledger, now_us: int, parameters: Parameters) -> Ledger:
    """Return the ledger with one more fill in the trading day in which it was told of, by the store's clock."""
    ledger = _roll_day(ledger, now_us, parameters)
    return replace(ledger, daily_fills=ledger.daily_fills + 1)


def _roll_day(ledger: Ledger, now_us: int, parameters: Parameters) -> Ledger:
    if now_us < ledger.day_end_us:
        return ledger
    end = day_end_us(now_us, parameters.day_zone, parameters.day_roll_minute)
    return replace(ledger, day_end_us=end, daily_notional=ZERO, daily_orders=0, daily_fills=0)


def _count_all(
    ledger: Ledger, order: Order, exchange: str, messages: tuple[Limit, ...], now_us: int
) -> dict[str, RateWindow]:
    """Count the message for every counting limit in scope, and forget windows that are over."""
    rates = {key: window for key, window in ledger.rates.items() if not is_over(window, now_us)}
    for limit in messages:
        rates[rate_key(limit, order, exchange)] = _count(limit, ledger, order, exchange, now_us)
    return rates
