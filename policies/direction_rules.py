"""Which way a changed profile, account, instrument or restriction goes, field by field."""

from __future__ import annotations

from msgspec.structs import replace

from policies.compare import BookDifference
from policies.verdict import (
    Rule,
    Sides,
    Verdict,
    always,
    held_the_other_way,
    judge_list,
    less_is_tighter,
    loosens,
    loosest_of,
    more_is_tighter,
    neutral,
    tightens,
    unclear,
)
from riskcore.book import Profile, Restriction, Scope
from riskcore.decimals import is_multiple

# What a larger volume of a day makes smaller; limits on it are usually ceilings.
_SHARES = ("order_adv_share",)
# What initial margin makes worse; limits on these are usually floors.
MARGIN_METRICS = ("margin_ratio", "margin_available")


# ----------------------------------------------------------------------------------------------- profiles
def _ceiling(what: str) -> Rule:
    def rule(sides: Sides) -> Verdict:
        return less_is_tighter(sides.before, sides.after, f"ceiling on {what}")

    return rule


def _strategies(sides: Sides) -> Verdict:
    return judge_list(sides.before, sides.after, "strategy", "strategies")


PROFILE_RULES: dict[str, Rule] = {
    "allowed_leverage": _ceiling("leverage"),
    "max_single_trade_risk": _ceiling("the size of one order"),
    "max_daily_loss": _ceiling("the loss of a day"),
    "max_weekly_loss": _ceiling("the loss of a week"),
    "max_open_positions": _ceiling("the number of positions"),
    "strategies": _strategies,
}


def profile_added(sides: Sides) -> Verdict:
    """A profile by itself lets nothing through, unless an account was blocked because its profile was missing."""
    if any(account.profile == sides.new.name for account in sides.was.accounts):
        return loosens("accounts have it that were blocked without it")
    return neutral("a new profile, which no account has had so far")


def profile_removed(sides: Sides) -> Verdict:
    if any(account.profile == sides.old.name for account in sides.now.accounts):
        return tightens("accounts that have it are blocked without it")
    return neutral("a profile that no account has")


# ----------------------------------------------------------------------------------------------- accounts
def account_added(sides: Sides) -> Verdict:
    if sides.new.enabled:
        return loosens("one account more may send orders")
    return neutral("a new account, which may not send orders yet")


account_removed = always(tightens("its orders are blocked"))


def _enabled(sides: Sides) -> Verdict:
    return loosens("its orders are no longer blocked") if sides.after else tightens("its orders are blocked")


def _account_ttl(sides: Sides) -> Verdict:
    before = sides.before or sides.was.parameters.reservation_ttl_us
    after = sides.after or sides.now.parameters.reservation_ttl_us
    return judge_life(before, after)


def judge_life(before: int, after: int) -> Verdict:
    """Judge how long an approval holds its exposure: once it is free, other orders may use it."""
    if before == after:
        return neutral("approvals hold their exposure as long as before")
    longer = after > before
    why = f"approvals hold their exposure for a {'longer' if longer else 'shorter'} time"
    return tightens(why) if longer else loosens(why)


def _account_profile(sides: Sides) -> Verdict:
    moves, move = sides.after_index.moves, (sides.before, sides.after)
    if move not in moves:
        moves[move] = _move(sides)
    return moves[move]


def _move(sides: Sides) -> Verdict:
    """Judge another profile: by the bounds of both, and by the limits that are on accounts of either."""
    before, after = sides.before_index.profiles.get(sides.before), sides.after_index.profiles.get(sides.after)
    if after is None:
        return tightens("without a published profile its orders are blocked")
    if before is None:
        return loosens("with a published profile its orders are no longer blocked")
    left = _limits_left(sides)
    if left:
        return loosens(f"it is no longer under {left}")
    return _bounds(before, after, sides)


def _bounds(before: Profile, after: Profile, sides: Sides) -> Verdict:
    verdicts = [
        rule(replace(sides, difference=_field(field, before, after)))
        for field, rule in PROFILE_RULES.items()
        if getattr(before, field) != getattr(after, field)
    ]
    direction = loosest_of(verdict.direction for verdict in verdicts)
    if not verdicts:
        return neutral(f"{after.name} has the bounds of {before.name}")
    whys = "; ".join(verdict.why for verdict in verdicts if verdict.direction is direction)
    return Verdict(direction, f"{after.name} in place of {before.name}: {whys}")


def _field(field: str, old: Profile, new: Profile) -> BookDifference:
    return BookDifference("profiles", new.name, field, getattr(old, field), getattr(new, field), old, new)


def _limits_left(sides: Sides) -> str:
    """Return the name of a limit on the accounts of the old profile that does not cover this account any more."""
    for policy in sides.before_index.of_profile.get(sides.before, ()):
        # One that is gone, or has another scope, is judged by itself.
        present = sides.after_index.limits.get(policy.id)
        if present is not None and present.scope is Scope.PROFILE and sides.after not in present.scope_ids:
            return policy.name
    return ""


ACCOUNT_RULES: dict[str, Rule] = {
    "profile": _account_profile,
    "exchange": always(unclear("limits and stops of other exchanges cover it")),
    "enabled": _enabled,
    "reservation_ttl_us": _account_ttl,
}


# -------------------------------------------------------------------------------------------- instruments
def _step(one: str, several: str) -> Rule:
    """Judge a tick or lot: every multiple of the coarser one has to be one of the finer."""

    def rule(sides: Sides) -> Verdict:
        before, after = sides.before, sides.after
        if not after:
            return loosens(f"any {one} is allowed")
        if not before or is_multiple(after, before):
            return tightens(f"fewer {several} are allowed")
        if is_multiple(before, after):
            return loosens(f"more {several} are allowed")
        return unclear(f"other {several} are allowed")

    return rule


def _min_quantity(sides: Sides) -> Verdict:
    return more_is_tighter(sides.before, sides.after, "smallest order")


def _max_quantity(sides: Sides) -> Verdict:
    if not sides.after:
        return loosens("no largest order any more")
    if not sides.before:
        return tightens("a largest order")
    return less_is_tighter(sides.before, sides.after, "largest order")


def _average_daily_volume(sides: Sides) -> Verdict:
    """Judge what trades in a day, of which orders may be a share: while nobody knows it, a limit on that blocks."""
    limited = any(policy.metric in _SHARES for book in (sides.was, sides.now) for policy in book.policies)
    if not limited:
        return neutral("no limit is on the share of it that an order may be")
    if not sides.before or not sides.after:
        blocked = "orders under a limit on their share of it are"
        return loosens(f"{blocked} no longer blocked") if sides.after else tightens(f"{blocked} blocked")
    turned = held_the_other_way(sides.was, _SHARES, "above")
    if turned:
        return unclear(f"another volume makes the limit {turned} easier or harder to keep")
    larger = sides.after > sides.before
    return loosens("larger orders are allowed") if larger else tightens("only smaller orders are allowed")


def _margin_rate(sides: Sides) -> Verdict:
    before = sides.before or sides.was.parameters.default_margin_rate
    after = sides.after or sides.now.parameters.default_margin_rate
    if before == after:
        return neutral("the initial margin stays as it is")
    turned = held_the_other_way(sides.was, MARGIN_METRICS, "below")
    if turned:
        return unclear(f"margin makes the limit {turned} easier to keep")
    return more_is_tighter(before, after, "initial margin")


def _order_types(sides: Sides) -> Verdict:
    return judge_list(sides.before, sides.after, "order type", "order types")


INSTRUMENT_RULES: dict[str, Rule] = {
    "tick_size": _step("price", "prices"),
    "lot_size": _step("quantity", "quantities"),
    "min_quantity": _min_quantity,
    "max_quantity": _max_quantity,
    "average_daily_volume": _average_daily_volume,
    "margin_rate": _margin_rate,
    "order_types": _order_types,
}


instrument_without_rules = always(neutral("no rule of it is known"))


# ------------------------------------------------------------------------------------------- restrictions
def restricted(sides: Sides) -> Verdict:
    if any(_says_as_much(other, sides.new) for other in sides.was.restrictions):
        return neutral("another restriction says as much already")
    return tightens("orders in it are blocked")


def lifted(sides: Sides) -> Verdict:
    if any(_says_as_much(other, sides.old) for other in sides.now.restrictions):
        return neutral("another restriction says as much")
    if _is_over(sides):
        return neutral("its time was over")
    return loosens("orders in it are no longer blocked")


def _is_over(sides: Sides) -> bool:
    """Return whether the time of a restriction was over, on the clock of every process that decides."""
    until_us, tolerance_us = sides.old.until_us, sides.now.parameters.sender_clock_tolerance_us
    return bool(0 < until_us <= sides.at_us - tolerance_us)


def _says_as_much(one: Restriction, other: Restriction) -> bool:
    """Return whether `one` blocks every order that `other` blocks."""
    return (
        one.symbol == other.symbol
        and one.side in (None, other.side)
        and one.account_id in ("", other.account_id)
        and (not one.close_only or other.close_only)
        and (not one.until_us or 0 < other.until_us <= one.until_us)
    )
