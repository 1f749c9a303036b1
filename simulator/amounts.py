"""Exact decimal arithmetic for money and quantities: sums and products are never rounded in silence."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_UP, Context, Decimal, DivisionByZero, Inexact, InvalidOperation

ZERO = Decimal(0)

# For `localcontext`: a sum or a product that 64 digits do not hold raises.
EXACT = Context(prec=64, traps=[InvalidOperation, DivisionByZero, Inexact])

# For quotients, which are then rounded to a step.
_WIDE = Context(prec=64, traps=[InvalidOperation, DivisionByZero])

# The finest step of an amount on the wire, and of a share of what a position has cost.
FINEST = Decimal("1E-12")


def rounded(value: Decimal, step: Decimal) -> Decimal:
    """Return the value with as many decimals as `step` has, a half to the even neighbour."""
    return value.quantize(step, ROUND_HALF_EVEN, _WIDE)


def share(value: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """Return value x part / whole (not 0), to the finest step."""
    return rounded(_WIDE.divide(_WIDE.multiply(value, part), whole), FINEST)


def steps_down(value: Decimal, step: Decimal) -> Decimal:
    """Return the largest whole multiple of `step` (> 0) that is not further from zero than `value`."""
    return _WIDE.divide(value, step).to_integral_value(ROUND_DOWN, _WIDE) * step


def steps_up(value: Decimal, step: Decimal) -> Decimal:
    """Return the smallest whole multiple of `step` (> 0) that is not nearer to zero than `value`."""
    return _WIDE.divide(value, step).to_integral_value(ROUND_UP, _WIDE) * step


def text(value: Decimal) -> str:
    """Return an amount as it travels: plain digits, with at most twelve decimals."""
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int), "amounts are finite"
    value = rounded(value, FINEST) if exponent < -12 else value
    return f"{value:f}" if value else "0"
