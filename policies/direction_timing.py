"""Which way a limit goes that holds at other times, on other accounts, in shadow or with the market."""

from __future__ import annotations

from policies.verdict import Rule, Sides, Verdict, loosens, neutral, tightens, unclear
from riskcore.book import Mode, VolatilityScale
from riskcore.rollout import WHOLE_PERCENT
from riskcore.schedule import ActiveWindow

_ONE = 1


def _mode(sides: Sides) -> Verdict:
    if sides.after is Mode.SHADOW:
        return loosens("it is only recorded")
    return tightens("it has effect, and is not only recorded")


def _active(sides: Sides) -> Verdict:
    """Judge the hours of a limit: what covers all of the old ones holds at least as long."""
    before, after = sides.before, sides.after
    if not after:
        return tightens("it holds at all hours")
    if not before:
        return loosens("it holds at some hours only")
    wider = all(any(_covers(new, old) for new in after) for old in before)
    narrower = all(any(_covers(old, new) for old in before) for new in after)
    if wider and narrower:
        return neutral("it holds at the same hours")
    if wider:
        return tightens("it holds at more hours")
    return loosens("it holds at fewer hours") if narrower else unclear("it holds at other hours")


def _covers(one: ActiveWindow, other: ActiveWindow) -> bool:
    """Return whether a window has every moment of another: on the same hours of the same clocks.

    Longer hours are not compared: where clocks are changed, a window that begins later may begin earlier.
    """
    same = (one.zone, one.from_minute, one.to_minute) == (other.zone, other.from_minute, other.to_minute)
    days = not one.days or (other.days and set(other.days) <= set(one.days))
    since = not one.since or (other.since and one.since <= other.since)
    until = not one.until or (other.until and other.until <= one.until)
    return bool(same and days and since and until)


def _from(sides: Sides) -> Verdict:
    return (
        tightens("it holds from earlier on") if sides.after < sides.before else loosens("it holds only from later on")
    )


def _until(sides: Sides) -> Verdict:
    """Judge the last moment of a limit; 0 is none."""
    if not sides.after or 0 < sides.before < sides.after:
        return tightens("it holds for longer")
    return loosens("it ends earlier")


def _rollout(sides: Sides) -> Verdict:
    if sides.after < sides.before:
        return loosens("it holds for fewer accounts")
    if sides.old.test_group != sides.new.test_group and sides.after < WHOLE_PERCENT:
        return unclear("it holds for other accounts")
    return tightens("it holds for more accounts")


def _test_group(sides: Sides) -> Verdict:
    if sides.new.rollout_percent == WHOLE_PERCENT:
        return neutral("it holds for every account, whatever the group")
    return unclear("it holds for other accounts")


def _volatility(sides: Sides) -> Verdict:
    """Judge how a threshold follows the market: by the factors that it may be multiplied with."""
    before: VolatilityScale | None = sides.before
    after: VolatilityScale | None = sides.after
    least, most = (after.least, after.most) if after is not None else (_ONE, _ONE)
    was_least, was_most = (before.least, before.most) if before is not None else (_ONE, _ONE)
    if most <= was_least:
        return tightens("its threshold is never higher")
    if least >= was_most:
        return loosens("its threshold is never lower")
    if before is None or after is None or before.symbol != after.symbol:
        return unclear("its threshold is sometimes higher, sometimes lower")
    return _same_symbol(before, after)


def _same_symbol(before: VolatilityScale, after: VolatilityScale) -> Verdict:
    pairs = ((before.reference, after.reference), (before.least, after.least), (before.most, after.most))
    if all(new <= old for old, new in pairs):
        return tightens("its threshold is lower in the same market")
    if all(new >= old for old, new in pairs):
        return loosens("its threshold is higher in the same market")
    return unclear("its threshold is sometimes higher, sometimes lower")


TIMING_RULES: dict[str, Rule] = {
    "mode": _mode,
    "active": _active,
    "effective_from_us": _from,
    "effective_until_us": _until,
    "rollout_percent": _rollout,
    "test_group": _test_group,
    "volatility": _volatility,
}
