"""When, on whom and how a limit is held, in plain words."""

from __future__ import annotations

from collections.abc import Iterator

from policies.hours import format_window
from policies.models import Policy
from policies.wording_numbers import figure, moment_text
from riskcore import book as core
from riskcore.calendar import moment
from riskcore.metrics import Unit
from riskcore.rollout import WHOLE_PERCENT


def held(policy: Policy | core.Policy) -> str:
    """Return what is to be added to the sentence of a limit; "" for one that holds always and for everybody."""
    times = _published_times(policy) if isinstance(policy, core.Policy) else _times(policy)
    return "".join(f", {part}" for part in (*_whom(policy), *times))


def scale_sentence(scale: core.VolatilityScale) -> str:
    """Return how a threshold follows volatility."""
    least, most = figure(scale.least, Unit.FRACTION), figure(scale.most, Unit.FRACTION)
    usual = figure(scale.reference, Unit.FRACTION)
    return f"multiplied by {usual} / volatility of {scale.symbol}, from {least} to {most}"


def _whom(policy: Policy | core.Policy) -> Iterator[str]:
    if policy.mode == core.Mode.SHADOW:
        yield "only in shadow"
    if policy.rollout_percent < WHOLE_PERCENT:
        group = f" of group {policy.test_group}" if policy.test_group else ""
        yield f"on {policy.rollout_percent} % of the accounts{group}"


def _published_times(policy: core.Policy) -> Iterator[str]:
    if policy.active:
        yield " and ".join(map(format_window, policy.active))
    if policy.effective_from_us:
        yield f"from {moment_text(moment(policy.effective_from_us))}"
    if policy.effective_until_us:
        yield f"until {moment_text(moment(policy.effective_until_us))}"
    if policy.volatility is not None:
        yield scale_sentence(policy.volatility)


def _times(policy: Policy) -> Iterator[str]:
    if policy.active_windows:
        yield " and ".join(policy.active_windows)
    if policy.effective_from is not None:
        yield f"from {moment_text(policy.effective_from)}"
    if policy.effective_until is not None:
        yield f"until {moment_text(policy.effective_until)}"
    scale = policy.volatility_scale
    if scale is not None:
        yield scale_sentence(scale)
