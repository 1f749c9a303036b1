"""Figures, limits and answers in the words that people read: one way for every page."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal

from riskcore.book import Operator
from riskcore.decimals import EXACT, tidy
from riskcore.metrics import METRICS, Unit
from riskcore.types import Breach, Decision, Order, Verdict

NONE = "\N{EN DASH}"

_THOUSAND = Decimal(1000)
_HUNDRED = Decimal(100)

ALLOWED = {
    Operator.AT_MOST: "at most",
    Operator.BELOW: "less than",
    Operator.AT_LEAST: "at least",
    Operator.ABOVE: "more than",
    Operator.EQUAL: "exactly",
    Operator.NOT_EQUAL: "anything but",
}

_VERDICTS = {Verdict.BLOCK: "Blocked", Verdict.SCALE_DOWN: "Not as it is"}


# ------------------------------------------------------------------------------------------------ figures
def number(value: Decimal | None, most: int = 2, least: int = 0) -> str:
    """Return a number with at most and at least so many places; a dash where it is not known."""
    if value is None:
        return NONE
    if not value.is_finite():
        return "∞" if value > 0 else "-∞"
    text = f"{value.quantize(Decimal(1).scaleb(-most), ROUND_HALF_EVEN, EXACT):,f}"
    whole, point, places = text.partition(".")
    kept = places.rstrip("0").ljust(least, "0")
    return f"{whole}{point}{kept}" if kept else "0" if whole == "-0" else whole


def quantity(value: Decimal | None) -> str:
    """Return a quantity as it is, to the last place."""
    return NONE if value is None else f"{tidy(value):,f}"


def price(value: Decimal | None) -> str:
    """Return a price, at most at its sixth place: an average has no end."""
    return number(value, 6)


def money(value: Decimal | None) -> str:
    """Return an amount of currency: cents below a thousand only."""
    if value is None:
        return NONE
    return number(value, 0) if abs(value) >= _THOUSAND else number(value, 2, 2)


def percent(value: Decimal | None, places: int = 1) -> str:
    """Return a fraction as per cent."""
    return NONE if value is None else f"{number(value * _HUNDRED, places, places)} %"


def share(value: Decimal | None) -> str:
    """Return a utilisation; None is beyond measure."""
    return "> 999 %" if value is None else percent(value, 0)


def figure(metric: str, value: Decimal | None) -> str:
    """Return the value of a metric in its unit (SPEC 4)."""
    if value is None:
        return NONE
    known = METRICS.get(metric)
    match None if known is None else known.unit:
        case Unit.FRACTION:
            return percent(value, 2)
        case Unit.LEVERAGE:
            return f"{number(value)} x"
        case Unit.CURRENCY:
            return money(value)
        case _:
            return number(value, 4)


# ------------------------------------------------------------------------------------------------- limits
def title(metric: str) -> str:
    """Return what a metric is called."""
    known = METRICS.get(metric)
    return metric if known is None else known.title


def allowed(metric: str, operator: str, threshold: Decimal) -> str:
    """Return what a limit allows: "at most 10 x"."""
    return f"{ALLOWED[Operator(operator)]} {figure(metric, threshold)}"


def level_of(used: Decimal | None, warning: Decimal, critical: Decimal) -> str:
    """Return the level of a utilisation: info, warning or critical; None is beyond measure."""
    if used is None or used >= critical:
        return "critical"
    return "warning" if used >= warning else "info"


# ------------------------------------------------------------------------------------------------ answers
def order_in_words(order: Order) -> str:
    """Return what an order asks for: "BUY 3.1 BTCUSDT at 50,000"."""
    price = f"at {quantity(order.price)}" if order.price else "at the market"
    return f"{order.side} {quantity(order.quantity)} {order.symbol} {price}"


def answer_in_words(answer: Decision, order: Order) -> str:
    """Return a decision in a sentence: what was answered, why, and what would pass."""
    if answer.approved:
        return _approved(answer, order)
    said = "; ".join(filter(None, (_why(answer), _offer(answer, order))))
    return f"{_VERDICTS[answer.decision]}: {said}."


def _approved(answer: Decision, order: Order) -> str:
    warned = _count(len(answer.warnings), "limit warns", "limits warn") if answer.warnings else ""
    what = "Would be approved" if answer.what_if else "Approved"
    said = answer.message.removeprefix("approved").removeprefix("would be approved").lstrip(":; ")
    return f"{what}: {'; '.join(filter(None, (said or order_in_words(order), warned)))}."


def _why(answer: Decision) -> str:
    if not answer.violations:
        return answer.message
    first, others = answer.violations[0], len(answer.violations) - 1
    more = f" and {_count(others, 'more limit is', 'more limits are')} broken" if others else ""
    return f"{_breach(first)}{more}"


def _breach(breach: Breach) -> str:
    """Return a breach in words; its own where it has no value, or is no limit that officers have set."""
    if breach.value is None or breach.policy_id is None:
        return breach.message
    limit = allowed(breach.metric, breach.operator, breach.threshold)
    return f"{breach.name} would be {figure(breach.metric, breach.value)}, {limit} is allowed"


def _offer(answer: Decision, order: Order) -> str:
    if answer.max_quantity is None:
        return ""
    if not answer.max_quantity:
        return "no quantity would pass"
    passes = f"{quantity(answer.max_quantity)} {order.symbol} would pass"
    return f"{passes}, sent as a new order" if answer.decision is Verdict.SCALE_DOWN else passes


def _count(many: int, one: str, more: str) -> str:
    return f"{many} {one if many == 1 else more}"


def listed(names: Iterable[str]) -> str:
    """Return names with commas, and "and" before the last."""
    found = list(names)
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}" if found else ""
