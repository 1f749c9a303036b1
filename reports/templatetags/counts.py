"""Counts in templates, which may be of millions."""

from __future__ import annotations

from django import template

register = template.Library()


@register.filter
def count(value: int | None) -> str:
    """Show a whole number with its thousands apart."""
    return "" if value is None else f"{value:,}"
