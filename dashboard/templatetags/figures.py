"""Figures, moments and ages in templates, in the words of `dashboard.words`.

A row that scripts copy is made of nothing: there every figure is text, and shown as one that is not known.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import template
from django.conf import settings
from django.urls import reverse

from dashboard import words
from riskcore.calendar import moment

register = template.Library()

register.filter("title_of", words.title)


def _known(value: Any) -> Decimal | None:
    return value if isinstance(value, Decimal) else None


@register.filter
def money(value: Any) -> str:
    """Show an amount of currency."""
    return words.money(_known(value))


@register.filter
def share(value: Any) -> str:
    """Show a utilisation."""
    return words.share(_known(value))


@register.filter
def quantity(value: Any) -> str:
    """Show a quantity."""
    return words.quantity(_known(value))


@register.filter
def price(value: Any) -> str:
    """Show a price."""
    return words.price(_known(value))


@register.filter
def percent(value: Any) -> str:
    """Show a fraction as per cent."""
    return words.percent(_known(value))


@register.filter
def figure(value: Any, metric: str) -> str:
    """Show the value of a metric in its unit."""
    return words.figure(metric, _known(value))


@register.simple_tag
def allowed(metric: str, operator: str, threshold: Decimal) -> str:
    """Show what a limit allows."""
    return words.allowed(metric, operator, threshold)


@register.filter
def used_level(value: Any) -> str:
    """Return the level of a utilisation."""
    return words.level_of(_known(value), settings.RISK_WARNING_UTILISATION, settings.RISK_CRITICAL_UTILISATION)


@register.filter
def at_us(value: int) -> datetime:
    """Return microseconds since the epoch as a moment."""
    return moment(value)


@register.filter
def iso(value: datetime | None) -> str:
    """Return a moment for machines."""
    return "" if value is None else value.isoformat()


@register.filter
def age(value_us: int | None) -> str:
    """Show an age in microseconds."""
    if value_us is None:
        return "of unknown age"
    if value_us < 1_000_000:
        return f"{max(0, value_us) // 1000} ms old"
    return f"{words.number(Decimal(value_us) / 1_000_000, 1)} s old"


@register.filter
def age_ms(value: int) -> str:
    """Show an age in milliseconds."""
    return age(value * 1000)


@register.filter
def spaced(value: Any) -> str:
    """Show a word of the system without its underscores."""
    return str(value).replace("_", " ")


@register.filter
def after(value: Any) -> str:
    """Show how long after the beginning something came, a timedelta."""
    if value is None:
        return ""
    seconds = value.total_seconds()
    if seconds < 1:
        return f"+{max(0, seconds) * 1000:.0f} ms"
    return f"+{seconds:.1f} s" if seconds < 60 else f"+{seconds // 60:.0f} min {seconds % 60:.0f} s"


@register.filter
def policy_page(policy_id: str) -> str:
    """Return the page of a limit, empty for what is none: a profile's bound, a rule of the check itself, a fault."""
    try:
        return reverse("admin:policies_policy_change", args=(UUID(policy_id),))
    except ValueError:
        return ""
