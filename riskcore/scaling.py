"""Thresholds that follow the market: lower while it moves more than usual, higher while it moves less."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

from msgspec.structs import replace

from riskcore.book import Operator, Policy, VolatilityScale
from riskcore.decimals import EXACT, ZERO, tidy

_FACTOR_STEP = Decimal("0.000001")
_THRESHOLD_STEP = Decimal("0.00000001")

_CAPS = (Operator.AT_MOST, Operator.BELOW)


def check_scale(policy: Policy) -> None:
    """Raise ValueError where the threshold of a policy cannot follow a volatility."""
    scale = policy.volatility
    if scale is None:
        return
    if policy.operator not in _CAPS or not policy.threshold > ZERO:
        raise ValueError(f"policy {policy.name}: only a ceiling above 0 follows a volatility")
    if not (scale.symbol and scale.reference > ZERO and ZERO < scale.least <= scale.most):
        raise ValueError(
            f"policy {policy.name}: its volatility needs a symbol, a reference above 0, and 0 < least <= most"
        )


def factor(scale: VolatilityScale, current: float | None) -> Decimal:
    """Return what the threshold is multiplied by: reference / current, within `least` and `most`, at six decimals.

    `current` is the annualised volatility now (a statistic, hence a float). None or 0: not known, or a price that does
    not move, of which the history may be wrong; then it is `least`.
    """
    if not current:
        return scale.least
    ratio = EXACT.divide(scale.reference, Decimal(current)).quantize(_FACTOR_STEP, ROUND_FLOOR, EXACT)
    return min(max(ratio, scale.least), scale.most)


def scaled(policy: Policy, current: float | None) -> Policy:
    """Return the policy with the threshold that is in effect at a volatility, rounded down to eight decimals."""
    if policy.volatility is None:
        return policy
    threshold = EXACT.multiply(policy.threshold, factor(policy.volatility, current))
    return replace(policy, threshold=tidy(threshold.quantize(_THRESHOLD_STEP, ROUND_FLOOR, EXACT)))
