"""Which way a changed limit goes, field by field."""

from __future__ import annotations

from policies.direction_timing import TIMING_RULES
from policies.verdict import (
    Rule,
    Sides,
    Verdict,
    always,
    bounds_from,
    called,
    less_is_tighter,
    listed,
    loosens,
    more_is_tighter,
    neutral,
    tightens,
    unclear,
)
from riskcore.book import Mode, OnBreach, Operator, Policy, PolicyType, Scope
from riskcore.metrics import MESSAGE_CONTROLS

_SEVERITY = (PolicyType.SOFT, PolicyType.HARD, PolicyType.EMERGENCY)
_ANOTHER_FIGURE = "another figure is limited"


def added(sides: Sides) -> Verdict:
    limit: Policy = sides.new
    if limit.mode is Mode.SHADOW:
        return neutral("a new limit that is only recorded")
    return tightens("a new limit that warns" if limit.type is PolicyType.SOFT else "a new limit")


def removed(sides: Sides) -> Verdict:
    if sides.old.mode is Mode.SHADOW:
        return neutral("a limit that was only recorded")
    return loosens("this limit is no longer in force")


def _type(sides: Sides) -> Verdict:
    old, new = sides.before, sides.after
    if _SEVERITY.index(new) > _SEVERITY.index(old):
        stops = new is PolicyType.EMERGENCY
        return tightens("a breach also stops trading" if stops else "it blocks and not only warns")
    return loosens("it only warns" if new is PolicyType.SOFT else "a breach no longer stops trading")


def _condition(sides: Sides) -> Verdict:
    """Judge operator and threshold together: by what values they allow."""
    old, new = sides.old, sides.new
    if old.metric != new.metric:
        return unclear(_ANOTHER_FIGURE)
    side = bounds_from(new.operator)
    if not side or bounds_from(old.operator) != side:
        return unclear("the values that it allows are others, neither fewer nor more")
    name = called(new.metric)
    if old.threshold == new.threshold:
        at_bound = new.operator in (Operator.AT_MOST, Operator.AT_LEAST)
        return loosens("the bound itself is allowed") if at_bound else tightens("the bound itself is not allowed")
    if side == "above":
        return less_is_tighter(old.threshold, new.threshold, f"ceiling on {name}")
    return more_is_tighter(old.threshold, new.threshold, f"floor under {name}")


def _scope(sides: Sides) -> Verdict:
    """Judge a scope and what it names together: by what is covered."""
    old, new = sides.old, sides.new
    if old.scope is new.scope:
        return _scope_ids(old, new)
    if Scope.EXCHANGE in (old.scope, new.scope):
        return unclear("on one exchange it limits what is there, elsewhere the whole account")
    if new.scope is Scope.GLOBAL:
        if new.metric in MESSAGE_CONTROLS and old.scope in (Scope.STRATEGY, Scope.SYMBOL):
            return unclear("messages are counted together, and from the beginning")
        return tightens("every account is under this limit")
    if old.scope is Scope.GLOBAL:
        return loosens(f"only {new.scope} {listed(new.scope_ids)} left under this limit")
    return unclear("it covers something else")


def _scope_ids(old: Policy, new: Policy) -> Verdict:
    gone = sorted(set(old.scope_ids) - set(new.scope_ids))
    if gone:
        return loosens(f"{old.scope} {listed(gone)} no longer under this limit")
    come = sorted(set(new.scope_ids) - set(old.scope_ids))
    return tightens(f"{new.scope} {listed(come)} under this limit as well")


def _on_breach(sides: Sides) -> Verdict:
    if sides.after is OnBreach.SCALE_DOWN:
        return loosens("a smaller order is offered in place of a block")
    return tightens("no smaller order is offered")


def _window(sides: Sides) -> Verdict:
    """Judge the window of a counting limit: over a longer one there is more to count."""
    old, new = sides.old, sides.new
    side = bounds_from(new.operator)
    if old.metric != new.metric:
        return unclear(_ANOTHER_FIGURE)
    if not side or bounds_from(old.operator) != side:
        return unclear("the values that it allows are others, neither fewer nor more")
    longer = sides.after > sides.before
    why = f"{called(new.metric)} counted over a {'longer' if longer else 'shorter'} time"
    return tightens(why) if longer is (side == "above") else loosens(why)


# The key, by which a limit is known again, and its version are no fields that differ.
LIMIT_RULES: dict[str, Rule] = {
    "name": always(neutral("another name for the same limit")),
    "type": _type,
    "metric": always(unclear(_ANOTHER_FIGURE)),
    "operator": _condition,
    "threshold": _condition,
    "scope": _scope,
    "scope_ids": _scope,
    "priority": always(neutral("it is reported earlier or later")),
    "on_breach": _on_breach,
    "window_s": _window,
    **TIMING_RULES,
}
