"""Exact decimal arithmetic: the one context all money and quantities are worked out in."""

from __future__ import annotations

from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)

ZERO = Decimal(0)
ONE = Decimal(1)
MINUS_ONE = Decimal(-1)
INFINITY = Decimal("Infinity")

# The finest step of a number on the wire. What cannot be said exactly (a third) is rounded to it.
FINEST = Decimal("1E-12")

# The widest product is a 20-digit quantity by a 20-digit price, summed over positions: 64 digits hold every
# sum and product of the wire's numbers exactly, and a quotient so closely that no comparison with a
# threshold of 8 decimals can come out the other way.
EXACT = Context(prec=64, traps=[InvalidOperation, DivisionByZero, Overflow])

_CENT = Decimal("0.01")
MILLIONTH = Decimal("0.000001")


def shown_ratio(value: Decimal) -> Decimal:
    """Return a ratio as people and machines are shown it: at six decimals (0.047619), an infinite one as it is."""
    return value.quantize(MILLIONTH, None, EXACT) if value < INFINITY else value


def shown_share(value: Decimal) -> Decimal:
    """Return the part of a quantity that is allowed, at six decimals: rounded down, so that it is never more."""
    return value.quantize(MILLIONTH, ROUND_DOWN, EXACT)


def tidy(value: Decimal) -> Decimal:
    """Return the same finite number without trailing zeros and without a positive exponent (100, not 1E+2)."""
    whole = value.to_integral_value()
    return whole.quantize(ONE, context=EXACT) if value == whole else value.normalize(EXACT)


def floor_to_step(value: Decimal, step: Decimal) -> Decimal:
    """Return the largest whole multiple of `step` (> 0) that is not above `value` (>= 0)."""
    steps = EXACT.divide(value, step).to_integral_value(rounding=ROUND_DOWN)
    # A quotient of more than 64 digits may have been rounded up to a whole number.
    while steps * step > value:
        steps -= ONE
    return steps * step


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Return whether `value` is a whole multiple of `step` (> 0)."""
    return not EXACT.remainder(value, step)


def money_up(value: Decimal) -> str:
    """Return an amount with two decimals, rounded up: what is needed is never understated."""
    return f"{value.quantize(_CENT, rounding=ROUND_CEILING, context=EXACT):f}"


def money_down(value: Decimal) -> str:
    """Return an amount with two decimals, rounded down: what is available is never overstated."""
    return f"{value.quantize(_CENT, rounding=ROUND_FLOOR, context=EXACT):f}"
