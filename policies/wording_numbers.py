"""Figures, moments and names as a sentence has them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from riskcore.decimals import tidy
from riskcore.metrics import Unit


def figure(value: Decimal, unit: Unit) -> str:
    """Return a value as people read it: fractions as percentages, thousands apart."""
    return f"{tidy(value * 100):,f} %" if unit is Unit.FRACTION else f"{tidy(value):,f}"


def unbroken(text: str) -> str:
    """Return a sentence of which no line ends before a percent sign or a dash."""
    return text.replace(" %", "\u00a0%").replace(" - ", "\u00a0- ")


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them, no more than four."""
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} others"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def moment_text(at: datetime) -> str:
    """Return an aware moment, in UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
