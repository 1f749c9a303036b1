"""backtest_var: was value at risk right?"""

from __future__ import annotations

import math
from argparse import ArgumentParser
from datetime import date
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError

from feeds.backtesting import Backtest, CannotTest, Tested, backtest
from riskcore.backtest import Breaches
from riskcore.types import VarMethod
from riskcore.var import LEAST_DAYS

_DAYS, _WINDOW = 250, 500
_MOST_DAYS = 20_000

_HEADINGS = (
    *("method", "level", "breaches", "expected", "rate", "Kupiec", "p", "independence", "p", "coverage", "p"),
    *("zone", "last 250"),
)


class Command(BaseCommand):
    help = (
        "Back-tests one-day value at risk at 99 and 95 per cent on the imported prices: each day's is estimated from "
        "the days before it alone, and held against what the day brought. Reports breaches, Kupiec's and "
        "Christoffersen's likelihood ratios with their p-values, and the supervisor's traffic light."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "symbols",
            nargs="+",
            metavar="SYMBOL[=WEIGHT]",
            help="the portfolio, with weights as fractions of equity (negative: short); without weights all alike",
        )
        parser.add_argument("--days", type=int, default=_DAYS, help=f"days to test (default: {_DAYS})")
        parser.add_argument("--window", type=int, default=_WINDOW, help=f"days to estimate from (default: {_WINDOW})")
        parser.add_argument(
            "--method", choices=[method.value for method in VarMethod], help="test this one only (default: all)"
        )
        parser.add_argument("--until", help="the last date, such as 2026-01-31 (default: the latest there is)")
        parser.add_argument("--json", action="store_true", help="write the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        for name, least in (("days", 1), ("window", LEAST_DAYS)):
            if not least <= options[name] <= _MOST_DAYS:
                raise CommandError(f"--{name} must be from {least} to {_MOST_DAYS:,}")
        try:
            found = backtest(
                _weights(options["symbols"]),
                days=options["days"],
                window=options["window"],
                methods=[VarMethod(options["method"])] if options["method"] else list(VarMethod),
                until=_date(options["until"]),
            )
        except CannotTest as error:
            raise CommandError(f"It cannot be tested: {error}") from None
        self.stdout.write(_as_json(found) if options["json"] else _as_text(found))


def _weights(texts: list[str]) -> dict[str, float]:
    """Return the weights by symbol, in upper case: what is given, or all alike."""
    weights: dict[str, float] = {}
    given = {"=" in text for text in texts}
    if len(given) > 1:
        raise CommandError("Give a weight to every symbol, or to none.")
    for text in texts:
        name, _, weight = text.rpartition("=") if "=" in text else (text, "", str(1 / len(texts)))
        symbol = name.upper()
        if symbol in weights:
            raise CommandError(f"{symbol} comes twice.")
        try:
            weights[symbol] = float(weight)
        except ValueError:
            weights[symbol] = math.nan
        if not symbol or not math.isfinite(weights[symbol]):
            raise CommandError(f"{text!r} is not SYMBOL=WEIGHT with a number, such as AAPL=0.25 or XOM=-0.1.")
    return weights


def _date(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise CommandError(f"--until {text!r} is not a date: expected such as 2026-01-31") from None


def _as_json(found: Backtest) -> str:
    return msgspec.json.encode(
        {
            "weights": found.weights,
            "window": found.window,
            "first": found.days[0],
            "last": found.days[-1],
            "days": len(found.days),
            "returns_sha256": found.version,
            "results": [
                {
                    "method": tested.rolled.method,
                    "fallback_days": tested.rolled.fallbacks,
                    **msgspec.to_builtins(breaches),
                    "breach_dates": _dates(found, tested, breaches),
                }
                for tested in found.results
                for breaches in tested.breaches
            ],
        }
    ).decode()


def _dates(found: Backtest, tested: Tested, breaches: Breaches) -> list[date]:
    flags = tested.rolled.breached(breaches.percent)
    return [day for day, breached in zip(found.days, flags, strict=True) if breached]


def _as_text(found: Backtest) -> str:
    rows = [_row(tested, breaches) for tested in found.results for breaches in tested.breaches]
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
    lines = [
        "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in (_HEADINGS, *rows)
    ]
    portfolio = ", ".join(f"{symbol} {weight:.4g}" for symbol, weight in found.weights.items())
    text = [
        f"One-day VaR of {portfolio}",
        f"{len(found.days):,} days, {found.days[0]} to {found.days[-1]}, each by the {found.window:,} before it",
        "",
        *lines,
        "",
        "p: probability of a ratio at least as large if the model is right; under 0.05 speaks against it.",
        f"Returns: sha256 {found.version}",
    ]
    for tested in found.results:
        if tested.rolled.fallbacks:
            text.append(
                f"{tested.rolled.method.value} does not hold on {tested.rolled.fallbacks:,} of the days: historical "
                "simulation stood in."
            )
    return "\n".join(text)


def _row(tested: Tested, found: Breaches) -> tuple[str, ...]:
    ratios = [
        text
        for ratio in (found.kupiec, found.independence, found.coverage)
        for text in (f"{ratio.statistic:.3f}", _probability(ratio.p_value))
    ]
    return (
        tested.rolled.method.value,
        f"{found.percent} %",
        f"{found.breaches:,}",
        f"{found.expected:,.1f}",
        f"{found.breaches / found.days:.2%}",
        *ratios,
        found.zone.value,
        f"{found.recent} {found.recent_zone.value}",
    )


def _probability(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else "<0.0001"
