"""Overrides: what officers let an account do once, or within a budget, in spite of its limits."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from riskcore.book import Override
from riskcore.case import Case
from riskcore.reasons import Reason
from riskcore.types import Ledger, OverrideUse

# What an override lets an order through. Never where it is not known what the order does, or it was sent before; and
# not where it would trade with the account's own order, which is no limit of the firm's.
_LETS_THROUGH = frozenset(
    {
        Reason.GLOBAL_RISK_CRITICAL,
        Reason.EMERGENCY_ACTION_REQUIRED,
        Reason.SYMBOL_BLOCKED,
        Reason.STRATEGY_NOT_ALLOWED,
        Reason.RATE_LIMIT_EXCEEDED,
        Reason.POLICY_VIOLATION,
        Reason.INSUFFICIENT_MARGIN,
    }
)

_UNUSED = OverrideUse()


def overrides_for(case: Case) -> Iterator[Override]:
    """Yield the overrides of the case's account that are for its order now and have an order left."""
    for override in case.book.overrides.get(case.order.account_id, ()):
        if _is_for(override, case) and use_of(case.ledger, override).orders < override.max_orders:
            yield override


def lets_through(override: Override | None, reason: Reason, case: Case) -> bool:
    """Return whether an override lets the case's order through what blocks it.

    Through a stop only one that is for liquidation, and only an order that strictly reduces a position.
    """
    if override is None:
        return False
    if reason is Reason.EMERGENCY_STOP_ACTIVE:
        return override.liquidation and case.reducing
    return reason in _LETS_THROUGH


def is_within(override: Override, ledger: Ledger, quantity: Decimal, notional: Decimal) -> bool:
    """Return whether an order of this quantity and notional (in currency) is within what is left of an override."""
    used = use_of(ledger, override)
    fits = not override.max_quantity or used.quantity + quantity <= override.max_quantity
    return fits and (not override.max_notional or used.notional + notional <= override.max_notional)


def use_of(ledger: Ledger, override: Override) -> OverrideUse:
    """Return what an account has used of an override."""
    return ledger.overrides.get(override.id, _UNUSED)


def with_use(
    overrides: dict[str, OverrideUse], override: Override, quantity: Decimal, notional: Decimal, now_us: int
) -> dict[str, OverrideUse]:
    """Return the uses with one more order; those of overrides that have run out are forgotten."""
    kept = {key: used for key, used in overrides.items() if used.until_us > now_us}
    used = kept.get(override.id, _UNUSED)
    more = OverrideUse(used.orders + 1, used.quantity + quantity, used.notional + notional, override.until_us)
    return {**kept, override.id: more}


def _is_for(override: Override, case: Case) -> bool:
    order, now_us = case.order, case.inputs.now_us
    return (
        override.symbol in ("", order.symbol)
        and override.side in (None, order.side)
        and override.from_us <= now_us < override.until_us
    )
