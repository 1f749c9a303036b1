"""Which way a changed setting goes, and a new history of prices."""

from __future__ import annotations

from policies.direction_rules import MARGIN_METRICS, judge_life
from policies.verdict import (
    Rule,
    Sides,
    Verdict,
    always,
    held_the_other_way,
    less_is_tighter,
    loosens,
    more_is_tighter,
    neutral,
    tightens,
    unclear,
)
from riskcore.book import Book
from riskcore.tail import MEASURES

_ANOTHER_DAY = always(unclear("the trading day starts at another time"))
_OTHER_AGES = always(unclear("other reports count as fresh, and of two prices the other one may be the fresher"))

# What a worse price of a market order makes larger; limits on these are usually ceilings.
_PRICED = ("order_notional", "single_trade_risk", "pending_notional", "daily_notional", "price_deviation")


def _age(what: str) -> Rule:
    def rule(sides: Sides) -> Verdict:
        if sides.after < sides.before:
            return tightens(f"{what} have to be fresher")
        return loosens(f"{what} may be older")

    return rule


def _reservation_ttl(sides: Sides) -> Verdict:
    return judge_life(sides.before, sides.after)


def _default_margin(sides: Sides) -> Verdict:
    turned = held_the_other_way(sides.was, MARGIN_METRICS, "below")
    if turned:
        return unclear(f"margin makes the limit {turned} easier to keep")
    return more_is_tighter(sides.before, sides.after, "initial margin")


def _slippage(sides: Sides) -> Verdict:
    turned = held_the_other_way(sides.was, _PRICED, "above") or held_the_other_way(sides.was, MARGIN_METRICS, "below")
    if turned:
        return unclear(f"slippage makes the limit {turned} easier to keep")
    return more_is_tighter(sides.before, sides.after, "price of market orders")


def _utilisation(level: str) -> Rule:
    def rule(sides: Sides) -> Verdict:
        return less_is_tighter(sides.before, sides.after, f"utilisation at which the level is {level}")

    return rule


def _rapid_window(sides: Sides) -> Verdict:
    turned = held_the_other_way(sides.was, ("drawdown_rapid",), "above")
    if turned:
        return unclear(f"a longer window makes the limit {turned} easier to keep")
    return more_is_tighter(sides.before, sides.after, "number of minutes in which a fall counts")


def _monitor_age(sides: Sides) -> Verdict:
    """An old signal blocks where the firm was at its limits, silence only where the settings say so."""
    longer = sides.after > sides.before
    if not sides.now.parameters.silence_blocks:
        if sides.was.parameters.silence_blocks:
            return loosens("a silent monitor blocks no more")
        why = f"what the monitor said holds for a {'longer' if longer else 'shorter'} time"
        return tightens(why) if longer else loosens(why)
    if not sides.was.parameters.silence_blocks:
        return tightens("a silent monitor blocks")
    return loosens("the monitor may be silent for longer") if longer else tightens("the monitor is missed sooner")


def _silence_blocks(sides: Sides) -> Verdict:
    return tightens("a silent monitor blocks") if sides.after else loosens("a silent monitor blocks no more")


SETTING_RULES: dict[str, Rule] = {
    "state_max_age_us": _age("account states"),
    "price_max_age_us": _age("prices"),
    "sender_clock_tolerance_us": _OTHER_AGES,
    "reservation_ttl_us": _reservation_ttl,
    "default_margin_rate": _default_margin,
    "market_slippage": _slippage,
    "warning_utilisation": _utilisation("WARNING"),
    "critical_utilisation": _utilisation("CRITICAL"),
    "day_zone": _ANOTHER_DAY,
    "day_roll_minute": _ANOTHER_DAY,
    "returns_max_age_us": _age("the last returns"),
    "rapid_window_us": _rapid_window,
    "monitor_max_age_us": _monitor_age,
    "silence_blocks": _silence_blocks,
}


def history_of_prices(sides: Sides) -> Verdict:
    if _goes_by_history(sides.was) or _goes_by_history(sides.now):
        return unclear("value at risk and volatility come out otherwise")
    return neutral("no limit is on value at risk, nor follows a volatility")


def _goes_by_history(book: Book) -> bool:
    return any(policy.metric in MEASURES or policy.volatility is not None for policy in book.policies)
