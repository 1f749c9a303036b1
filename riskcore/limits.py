"""A limit against a metric: does it hold, and how much of it is used."""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Decimal
from enum import IntEnum

from msgspec import Struct
from msgspec.structs import replace

from riskcore.book import Mode, OnBreach, Operator, Policy, PolicyType, Profile, Scope
from riskcore.decimals import ONE, ZERO, shown_ratio, tidy
from riskcore.metrics import (
    MESSAGE_CONTROLS,
    METRICS,
    ORDER_CONTROLS,
    WINDOWED,
    Kind,
    Metric,
    Subject,
    Value,
    margin_ratio,
    net_exposure,
    net_high,
    net_low,
)
from riskcore.rollout import holds_for
from riskcore.types import Breach


class Gate(IntEnum):
    """The gate of SPEC 3 at which a limit stands."""

    MESSAGES = 7
    ORDER = 8
    POLICIES = 10
    PROFILE = 11


class Bound(IntEnum):
    """Which way a limit bounds its metric."""

    NEITHER = 0
    CAP = 1
    FLOOR = 2


class Limit(Struct, frozen=True, kw_only=True, gc=False):
    """A policy made ready to be evaluated; a capital profile's bounds are limits like any other.

    `value` is the metric, of a net exposure the end of its range that the limit is about. `compare` and
    `share` take the value and the threshold and say whether the limit holds and how much of it is used.
    `inclusive`: the limit holds at its bound. `of_account`: the metric has a value without an order; `of_tail`: it
    is value at risk; `counted`: it has a value only over the limit's own window.
    `by_exchange`: it is on what the account has on the exchange of its scope, not on all of the account.
    `shadow`: what breaks it is recorded, and has no effect.
    """

    policy: Policy
    metric: Metric
    gate: Gate
    value: Value
    threshold: Decimal
    compare: Callable[[Decimal, Decimal], bool]
    share: Callable[[Decimal, Decimal], Decimal | None]
    bound: Bound
    inclusive: bool
    of_account: bool
    of_tail: bool
    counted: bool
    by_exchange: bool
    blocking: bool
    scalable: bool
    shadow: bool


# A limit and its place among those that it is reported with.
Placed = tuple[int, Limit]


class Finding(Struct, frozen=True, gc=False):
    """One limit evaluated. `value` None: not defined, perhaps for a reason that `unknown` says; else the metric does.

    `utilisation` None: breached beyond measure.
    """

    limit: Limit
    value: Decimal | None
    holds: bool
    utilisation: Decimal | None
    unknown: str = ""


_OF_ACCOUNT = (Kind.ACCOUNT, Kind.SYMBOL, Kind.TAIL)

_BOUND = {
    Operator.AT_MOST: Bound.CAP,
    Operator.BELOW: Bound.CAP,
    Operator.AT_LEAST: Bound.FLOOR,
    Operator.ABOVE: Bound.FLOOR,
}

_COMPARE: dict[Operator, Callable[[Decimal, Decimal], bool]] = {
    Operator.AT_MOST: operator.le,
    Operator.BELOW: operator.lt,
    Operator.AT_LEAST: operator.ge,
    Operator.ABOVE: operator.gt,
    Operator.EQUAL: operator.eq,
    Operator.NOT_EQUAL: operator.ne,
}


def make_limit(policy: Policy, gate: Gate | None = None) -> Limit:
    """Return the policy ready to be evaluated.

    Raises ValueError where its metric is not known, or where it counts and has no window.
    """
    metric = METRICS.get(policy.metric)
    if metric is None:
        raise ValueError(f"policy {policy.name}: there is no metric {policy.metric!r}")
    if policy.metric in WINDOWED and policy.window_s <= 0:
        raise ValueError(f"policy {policy.name}: {policy.metric} is counted over a window, so window_s must be above 0")
    bound = _BOUND.get(policy.operator, Bound.NEITHER)
    return Limit(
        policy=policy,
        metric=metric,
        gate=gate or _gate_of(policy.metric),
        value=(net_low if bound is Bound.FLOOR else net_high) if metric.value is net_exposure else metric.value,
        threshold=policy.threshold,
        compare=_COMPARE[policy.operator],
        share=_share_of(metric, policy.operator, bound),
        bound=bound,
        inclusive=policy.operator in (Operator.AT_MOST, Operator.AT_LEAST),
        of_account=metric.kind in _OF_ACCOUNT,
        of_tail=metric.kind is Kind.TAIL,
        counted=metric.kind is Kind.COUNTED,
        by_exchange=policy.scope is Scope.EXCHANGE and metric.kind in _OF_ACCOUNT,
        blocking=policy.type is not PolicyType.SOFT and policy.mode is Mode.ENFORCE,
        scalable=policy.on_breach is OnBreach.SCALE_DOWN,
        shadow=policy.mode is Mode.SHADOW,
    )


def limit_on(limit: Limit, account_id: str) -> Limit:
    """Return the limit as it is on an account: in shadow where its rollout has not reached that."""
    if limit.shadow or holds_for(limit.policy, account_id):
        return limit
    return replace(limit, blocking=False, shadow=True)


def _gate_of(metric: str) -> Gate:
    if metric in MESSAGE_CONTROLS:
        return Gate.MESSAGES
    return Gate.ORDER if metric in ORDER_CONTROLS else Gate.POLICIES


def profile_limits(profile: Profile) -> tuple[Limit, ...]:
    """Return the bounds of a capital profile as limits of gate 11."""
    bounds = (
        ("leverage", profile.allowed_leverage),
        ("single_trade_risk", profile.max_single_trade_risk),
        ("daily_loss", profile.max_daily_loss),
        ("weekly_loss", profile.max_weekly_loss),
        ("open_positions", Decimal(profile.max_open_positions)),
    )
    return tuple(
        make_limit(
            Policy(
                id=f"profile:{profile.name}:{metric}",
                name=f"Profile {profile.name}: {METRICS[metric].title.lower()}",
                type=PolicyType.HARD,
                metric=metric,
                operator=Operator.AT_MOST,
                threshold=bound,
            ),
            Gate.PROFILE,
        )
        for metric, bound in bounds
    )


def evaluate(limit: Limit, value: Decimal | None, subject: Subject | None = None) -> Finding:
    """Return whether the limit holds for this value of its metric, and its utilisation.

    `subject` is what the value is of, as far as it may say why there is none.
    """
    if value is None:
        tail = subject.tail if subject is not None and limit.of_tail else None
        return Finding(limit, None, False, None, tail.unknown if tail is not None else "")
    return Finding(limit, value, limit.compare(value, limit.threshold), limit.share(value, limit.threshold))


def _share_of(metric: Metric, op: Operator, bound: Bound) -> Callable[[Decimal, Decimal], Decimal | None]:
    """Return how utilisation is worked out: 0 nothing is used, 1 all of it, more is a breach, None beyond measure."""
    if bound is Bound.NEITHER:
        return _equality_share(_COMPARE[op])
    share = _cap_share if bound is Bound.CAP else _floor_share
    return _finite(share) if metric.value is margin_ratio else share


def _finite(share: Callable[[Decimal, Decimal], Decimal | None]) -> Callable[[Decimal, Decimal], Decimal | None]:
    """A margin ratio without margin used is infinite: a cap on it is then used beyond measure."""

    def finite_share(value: Decimal, threshold: Decimal) -> Decimal | None:
        used = share(value, threshold)
        return used if used is None or used.is_finite() else None

    return finite_share


def _cap_share(value: Decimal, threshold: Decimal) -> Decimal | None:
    """A cap uses value / threshold; one below zero is used the other way about, all of it when reached."""
    if threshold > ZERO:
        return value / threshold if value > ZERO else ZERO
    if threshold < ZERO:
        return threshold / value if value < ZERO else None
    return ONE if value == ZERO else ZERO if value < ZERO else None


def _floor_share(value: Decimal, threshold: Decimal) -> Decimal | None:
    """A floor uses threshold / value; a loss floor such as -5,000 uses value / threshold."""
    return _cap_share(-value, -threshold)


def _equality_share(compare: Callable[[Decimal, Decimal], bool]) -> Callable[[Decimal, Decimal], Decimal | None]:
    """Equalities are used not at all or beyond measure."""
    return lambda value, threshold: ZERO if compare(value, threshold) else None


def eases(limit: Limit, before: Decimal | None, after: Decimal | None) -> bool:
    """Return whether a breached limit's metric gets strictly better from `before` to `after`.

    Value at risk never does, with an open order at its worst: what falls there are the last bits of a float.
    """
    if before is None or after is None or limit.bound is Bound.NEITHER or limit.of_tail:
        return False
    return after > before if limit.bound is Bound.FLOOR else after < before


def headroom(limit: Limit, value: Decimal) -> Decimal | None:
    """Return how far a value may still go before the limit breaks, as it is shown; below zero where it has.

    None for an equality, which has none.
    """
    if limit.bound is Bound.NEITHER:
        return None
    return limit.metric.show(limit.threshold - value if limit.bound is Bound.CAP else value - limit.threshold)


def describe(finding: Finding) -> str:
    """Return the finding as a sentence for people."""
    policy = finding.limit.policy
    shown = (
        f"undefined ({finding.unknown or finding.limit.metric.unknown})"
        if finding.value is None
        else f"{finding.limit.metric.show(finding.value):f}"
    )
    window = f" in {policy.window_s} s" if policy.window_s else ""
    relation = "meets" if finding.holds else "breaks"
    return f"{policy.name}: {policy.metric}{window} {shown} {relation} {policy.operator} {tidy(policy.threshold):f}"


def as_breach(finding: Finding) -> Breach:
    """Return the finding as a decision carries it."""
    policy = finding.limit.policy
    return Breach(
        policy_id=policy.id,
        name=policy.name,
        type=policy.type.value,
        metric=policy.metric,
        value=None if finding.value is None else finding.limit.metric.show(finding.value),
        operator=policy.operator.value,
        threshold=tidy(policy.threshold),
        utilisation=None if finding.utilisation is None else shown_ratio(finding.utilisation),
        message=describe(finding),
    )
