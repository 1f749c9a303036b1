"""Limits in plain words."""

from __future__ import annotations

from policies.models import Policy
from policies.wording_numbers import figure, listed
from policies.wording_times import held
from riskcore import book as core
from riskcore.book import OnBreach, Operator, PolicyType, Scope
from riskcore.ledger import OF_THE_DAY
from riskcore.metrics import METRICS, Kind, Unit

# What a limit demands, of one figure and of several.
_CONDITIONS = {
    Operator.AT_MOST: ("stays at or below", "stay at or below"),
    Operator.BELOW: ("stays below", "stay below"),
    Operator.AT_LEAST: ("stays at or above", "stay at or above"),
    Operator.ABOVE: ("stays above", "stay above"),
    Operator.EQUAL: ("is always", "are always"),
    Operator.NOT_EQUAL: ("is never", "are never"),
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
    Scope.PROFILE: ("profile", "profiles"),
}
# Metrics whose titles are in the plural.
_SEVERAL = frozenset({"open_positions", "open_orders", "repeated_orders", "consecutive_rejects"})
_OF_ACCOUNT = (Kind.ACCOUNT, Kind.TAIL)


def sentence(policy: Policy | core.Policy) -> str:
    """Return a limit as it is said: "Leverage of every account stays at or below 10 - hard"."""
    metric = METRICS.get(policy.metric)
    title = metric.title if metric is not None else policy.metric
    unit = metric.unit if metric is not None else Unit.QUANTITY
    condition = _CONDITIONS[Operator(policy.operator)][policy.metric in _SEVERAL]
    over = f" within {policy.window_s} s" if policy.window_s else ""
    limit = figure(policy.threshold, unit)
    kind = metric.kind if metric is not None and policy.metric not in OF_THE_DAY else Kind.ACCOUNT
    subject, orders = _subject(policy, kind), _orders(policy, kind)
    offered = ", else a smaller order is offered" if policy.on_breach == OnBreach.SCALE_DOWN else ""
    return f"{title} {subject} {condition} {limit}{over}{orders}{offered} - {PolicyType(policy.type)}{held(policy)}"


def _subject(policy: Policy | core.Policy, kind: Kind) -> str:
    """Return what has the figure."""
    named = _named(policy)
    match Scope(policy.scope):
        case Scope.ACCOUNT if kind in (Kind.SYMBOL, Kind.ORDER):
            return f"{_SUBJECTS[kind]} of {named}"
        case Scope.ACCOUNT:
            return f"of {named}"
        case Scope.PROFILE if kind in (Kind.SYMBOL, Kind.ORDER):
            return f"{_SUBJECTS[kind]} under {named}"
        case Scope.PROFILE:
            return f"of every account with {named}"
        case Scope.EXCHANGE if policy.metric not in OF_THE_DAY:
            return f"{_SUBJECTS[kind]} on {named}"
        case Scope.STRATEGY if kind in (Kind.ORDER, Kind.COUNTED):
            return f"of every order of {named}" if kind is Kind.ORDER else f"of {named}"
        case Scope.SYMBOL if kind not in _OF_ACCOUNT:
            return f"of every order in {named}" if kind is Kind.ORDER else f"in {named}"
        case _:
            return _SUBJECTS[kind]


def _orders(policy: Policy | core.Policy, kind: Kind) -> str:
    """Return which orders meet the limit, where it is on more than what they themselves are."""
    scope = Scope(policy.scope)
    if scope is Scope.STRATEGY and kind in (*_OF_ACCOUNT, Kind.SYMBOL):
        return f" for orders of {_named(policy)}"
    if scope is Scope.SYMBOL and kind in _OF_ACCOUNT:
        return f" for orders in {_named(policy)}"
    if scope is Scope.EXCHANGE and policy.metric in OF_THE_DAY:
        return f" for orders on {_named(policy)}"
    return ""


def _named(policy: Policy | core.Policy) -> str:
    """Return what the scope names; a symbol is known by its name alone."""
    scope = Scope(policy.scope)
    names = listed(policy.scope_ids) if policy.scope_ids else ""
    if scope in (Scope.GLOBAL, Scope.SYMBOL):
        return names
    one, several = _NOUNS[scope]
    return f"{one if len(policy.scope_ids) == 1 else several} {names}"
