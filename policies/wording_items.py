"""What else a book says, in plain words: profiles, accounts, instruments, restrictions and settings."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from policies.hours import format_window
from policies.wording import sentence
from policies.wording_numbers import figure, listed, moment_text
from policies.wording_times import scale_sentence
from riskcore.book import Account, Instrument, Override, Parameters, Policy, Profile, Restriction, Returns
from riskcore.calendar import DAY_US, moment
from riskcore.decimals import tidy
from riskcore.metrics import METRICS, Unit


def profile_sentence(profile: Profile) -> str:
    """Return the bounds of a capital profile."""
    said = (
        f"Leverage up to {figure(profile.allowed_leverage, Unit.LEVERAGE)}, "
        f"one order up to {figure(profile.max_single_trade_risk, Unit.FRACTION)} of equity, "
        f"losses up to {figure(profile.max_daily_loss, Unit.FRACTION)} a day "
        f"and {figure(profile.max_weekly_loss, Unit.FRACTION)} a week, "
        f"up to {profile.max_open_positions:,} open positions"
    )
    if not profile.strategies:
        return f"{said}, every strategy"
    one = len(profile.strategies) == 1
    return f"{said}, only {'strategy' if one else 'strategies'} {listed(profile.strategies)}"


def account_sentence(account: Account) -> str:
    """Return what holds for an account."""
    said = [f"{'Profile' if account.enabled else 'Disabled, its orders are blocked; profile'} {account.profile}"]
    if account.exchange:
        said.append(f"on {account.exchange} where an order names no exchange")
    if account.reservation_ttl_us:
        said.append(f"approvals hold their exposure for {seconds(account.reservation_ttl_us)}")
    return ", ".join(said)


def instrument_sentence(instrument: Instrument) -> str:
    """Return the trading rules of a symbol."""
    rules = (
        ("prices in steps of", instrument.tick_size),
        ("quantities in steps of", instrument.lot_size),
        ("at least", instrument.min_quantity),
        ("at most", instrument.max_quantity),
        ("average daily volume", instrument.average_daily_volume),
    )
    said = [f"{what} {plain_number(value)}" for what, value in rules if value]
    if instrument.margin_rate:
        said.append(f"initial margin {figure(instrument.margin_rate, Unit.FRACTION)}")
    if instrument.order_types:
        said.append(f"only {listed(instrument.order_types)} orders")
    text = ", ".join(said)
    return text[:1].upper() + text[1:] if text else "No rule is known"


def restriction_sentence(restriction: Restriction) -> str:
    """Return what a restriction does."""
    orders = f"{restriction.side} orders" if restriction.side else "Orders"
    whose = f"of account {restriction.account_id}" if restriction.account_id else "of every account"
    does = "may only reduce a position" if restriction.close_only else "are blocked"
    until = f" until {moment_text(moment(restriction.until_us))}" if restriction.until_us else ""
    return f"{orders} {whose} {does}{until}: {restriction.reason}"


def override_sentence(override: Override) -> str:
    """Return what an override lets through."""
    orders = "One order" if override.max_orders == 1 else f"Up to {override.max_orders:,} orders"
    side = f" to {override.side}" if override.side else ""
    symbol = f" in {override.symbol}" if override.symbol else ""
    bounds = (
        f" of {plain_number(override.max_quantity)} in all" if override.max_quantity else "",
        f" worth {plain_number(override.max_notional)} in all" if override.max_notional else "",
    )
    since = f" from {moment_text(moment(override.from_us))}" if override.from_us else ""
    stopped = ", reducing ones through a stop as well" if override.liquidation else ""
    until = f" until {moment_text(moment(override.until_us))}"
    what = f"{orders} of account {override.account_id}{side}{symbol}{''.join(bounds)}"
    passes = "passes" if override.max_orders == 1 else "pass"
    return f"{what} {passes} its limits{since}{until}{stopped}: {override.reason}"


def item_sentence(item: Any) -> str:
    """Return any item of a book in words."""
    return _SENTENCES[type(item)](item)


def seconds(us: int) -> str:
    """Return a time as people read it: in seconds, or in days where it is a number of them."""
    days, rest = divmod(us, DAY_US)
    if days > 1 and not rest:
        return f"{days:,} days"
    return f"{tidy(Decimal(us) / 1_000_000):,f} s"


def plain_number(value: Decimal) -> str:
    """Return a number without zeros that say nothing, thousands apart."""
    return f"{tidy(value):,f}"


def _returns_sentence(returns: Returns) -> str:
    return f"{', '.join(returns.symbols)}: {returns.days:,} days to {returns.until}"


_SENTENCES: dict[type, Callable[[Any], str]] = {
    Policy: sentence,
    Profile: profile_sentence,
    Account: account_sentence,
    Instrument: instrument_sentence,
    Restriction: restriction_sentence,
    Override: override_sentence,
    Returns: _returns_sentence,
}


# ------------------------------------------------------------------------------------------ single fields
def _fraction(value: Decimal) -> str:
    return figure(value, Unit.FRACTION)


def _moment_or_none(at_us: int) -> str:
    return moment_text(moment(at_us)) if at_us else "no bound"


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


# What each field is called, and how its values are shown where that does not follow from their type.
_TITLES: dict[str, str] = {
    "type": "type",
    "scope_ids": "applies to",
    "on_breach": "on a breach",
    "window_s": "window",
    "effective_from_us": "in force from",
    "effective_until_us": "in force until",
    "active": "hours",
    "rollout_percent": "rolled out to",
    "volatility": "follows the market",
    "allowed_leverage": "leverage allowed",
    "max_single_trade_risk": "largest order",
    "max_daily_loss": "largest loss of a day",
    "max_weekly_loss": "largest loss of a week",
    "max_open_positions": "most open positions",
    "strategies": "strategies allowed",
    "reservation_ttl_us": "life of reservations",
    "order_types": "order types allowed",
    "min_quantity": "smallest order",
    "max_quantity": "largest order",
    "margin_rate": "initial margin",
    "state_max_age_us": "oldest account state",
    "price_max_age_us": "oldest price",
    "sender_clock_tolerance_us": "difference of clocks that is tolerated",
    "default_margin_rate": "initial margin where an instrument names none",
    "market_slippage": "slippage of market orders",
    "warning_utilisation": "WARNING from a utilisation of",
    "critical_utilisation": "CRITICAL from a utilisation of",
    "day_zone": "zone of the trading day",
    "day_roll_minute": "start of the trading day",
    "returns_max_age_us": "oldest returns for value at risk",
    "rapid_window_us": "time in which a fall of equity is rapid",
    "monitor_max_age_us": "the monitor is silent after",
    "silence_blocks": "a silent monitor blocks",
}
_SHOWN: dict[str, Callable[[Any], str]] = {
    "max_single_trade_risk": _fraction,
    "max_daily_loss": _fraction,
    "max_weekly_loss": _fraction,
    "margin_rate": _fraction,
    "default_margin_rate": _fraction,
    "market_slippage": _fraction,
    "warning_utilisation": _fraction,
    "critical_utilisation": _fraction,
    "day_roll_minute": _clock,
    "effective_from_us": _moment_or_none,
    "effective_until_us": _moment_or_none,
    "active": lambda value: " and ".join(map(format_window, value)) or "at all hours",
    "rollout_percent": lambda value: f"{value} %",
    "volatility": scale_sentence,
    "mode": lambda value: {"enforce": "enforced", "shadow": "only recorded"}[value],
    "window_s": lambda value: f"{value:,} s",
    "on_breach": lambda value: {"block": "block", "scale_down": "offer a smaller order"}[value],
    "metric": lambda value: METRICS[value].title if value in METRICS else value,
    "version": lambda value: value[:12],
}
# Lists that allow everything where they are empty, and rules that are not known where they are 0.
_EVERYTHING = ("strategies", "order_types")
_UNKNOWN = ("tick_size", "lot_size", "max_quantity", "average_daily_volume")


def field_title(field: str) -> str:
    """Return what a field of a book's item is called."""
    return _TITLES.get(field) or field.replace("_", " ")


def shown_value(field: str, value: Any, item: Any = None) -> str:
    """Return the value of a field as people read it; `item` is what it is a field of, for its unit."""
    if field in _UNKNOWN and not value:
        return "not known"
    if value is None:
        return ""
    if type(value) in _SENTENCES:
        return item_sentence(value)
    if field == "threshold" and isinstance(item, Policy) and item.metric in METRICS:
        return figure(value, METRICS[item.metric].unit)
    if field in _SHOWN:
        return _SHOWN[field](value)
    if field.endswith("_us"):
        return seconds(value) if value else "the default"
    if isinstance(value, tuple):
        return listed(value) if value else "all" if field in _EVERYTHING else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return plain_number(value) if isinstance(value, Decimal) else f"{value}" or "none"


def settings_lines(parameters: Parameters) -> list[tuple[str, str]]:
    """Return the settings that decisions depend on, each with its title."""
    names = parameters.__struct_fields__
    return [(_capital(field_title(name)), shown_value(name, getattr(parameters, name))) for name in names]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
