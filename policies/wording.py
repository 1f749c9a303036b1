"""Limits in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from policies.models import Policy
from riskcore import book as core
from riskcore.book import OnBreach, Operator, PolicyType, Scope
from riskcore.decimals import tidy
from riskcore.metrics import METRICS, Kind, Unit

_CONDITIONS = {
    Operator.AT_MOST: "stays at or below",
    Operator.BELOW: "stays below",
    Operator.AT_LEAST: "stays at or above",
    Operator.ABOVE: "stays above",
    Operator.EQUAL: "is always",
    Operator.NOT_EQUAL: "is never",
}
_SUBJECTS = {
    Kind.ACCOUNT: "of every account",
    Kind.TAIL: "of every account",
    Kind.SYMBOL: "in every symbol",
    Kind.ORDER: "of every order",
    Kind.COUNTED: "of every account",
}
# Singular and plural of what a scope names.
_NOUNS = {
    Scope.EXCHANGE: ("exchange", "exchanges"),
    Scope.ACCOUNT: ("account", "accounts"),
    Scope.STRATEGY: ("strategy", "strategies"),
    Scope.SYMBOL: ("symbol", "symbols"),
    Scope.PROFILE: ("profile", "profiles"),
}


def sentence(policy: Policy | core.Policy) -> str:
    """Return a limit as it is said: "Leverage of every account stays at or below 10 (hard)"."""
    metric = METRICS.get(policy.metric)
    title = metric.title if metric is not None else policy.metric
    unit = metric.unit if metric is not None else Unit.QUANTITY
    condition = _CONDITIONS[Operator(policy.operator)]
    over = f" within {policy.window_s} s" if policy.window_s else ""
    limit = figure(policy.threshold, unit)
    scaled = ", else scaled down" if policy.on_breach == OnBreach.SCALE_DOWN else ""
    return f"{title} {_subject(policy)} {condition} {limit}{over}{scaled} ({PolicyType(policy.type)})"


def figure(value: Decimal, unit: Unit) -> str:
    """Return a value as people read it: fractions as percentages, thousands apart."""
    return f"{tidy(value * 100):,f} %" if unit is Unit.FRACTION else f"{tidy(value):,f}"


def _subject(policy: Policy | core.Policy) -> str:
    scope = Scope(policy.scope)
    kind = METRICS[policy.metric].kind if policy.metric in METRICS else Kind.ACCOUNT
    if scope is Scope.GLOBAL:
        return _SUBJECTS[kind]
    if scope is Scope.SYMBOL and kind is Kind.SYMBOL:
        return f"in {_listed(policy.scope_ids)}"
    one, several = _NOUNS[scope]
    relation = "of" if scope is Scope.ACCOUNT else "in" if scope is Scope.SYMBOL else "under"
    return f"{relation} {one if len(policy.scope_ids) == 1 else several} {_listed(policy.scope_ids)}"


def _listed(names: Sequence[str]) -> str:
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} others"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
