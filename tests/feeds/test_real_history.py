"""Real prices, through files, database and selectors, against plain NumPy and SciPy on the recording itself.

RISK_TEST_DATA says where the recordings are.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command
from django.utils import timezone
from scipy import integrate, stats

from feeds.history import load_history
from feeds.models import PriceBar
from feeds.returns import publish_returns
from policies.book import loaded
from policies.defaults import ensure_defaults
from riskcore.book import Parameters
from riskcore.tail import MEASURES
from riskcore.types import VarMethod
from riskcore.var import Floats
from tests.feeds.market import INDEX, SHARES, missing, real_closes, recording
from tests.riskcore.builders import DAY, check, compiled, order, policy, position, state

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(bool(missing(SHARES, INDEX)), reason=missing(SHARES, INDEX)),
]

DAYS, WINDOW, TESTED = 500, 500, 2000
EQUITY = 1_000_000.0
LEVELS = (95, 99)


# ---------------------------------------------------------------------- the figures again, as a textbook has them


@dataclass(frozen=True)
class Again:
    """VaR and ES by level, worked out again."""

    var: dict[int, float]
    es: dict[int, float]
    fallback: bool = False


def historical(pnl: Floats) -> Again:
    worst = np.sort(-pnl)[::-1]
    tail = {level: worst[: max(1, int(len(pnl) * (100 - level) / 100 + 1e-9))] for level in LEVELS}
    return Again(
        var={level: float(tail[level][-1]) for level in LEVELS},
        es={level: float(tail[level].mean()) for level in LEVELS},
    )


def normal(mean: float, deviation: float) -> Again:
    var = {level: -float(stats.norm.ppf(1 - level / 100, mean, deviation)) for level in LEVELS}
    density = {level: float(stats.norm.pdf(stats.norm.ppf(level / 100))) / (1 - level / 100) for level in LEVELS}
    return Again(var=var, es={level: deviation * density[level] - mean for level in LEVELS})


def parametric(pnl: Floats) -> Again:
    return normal(float(pnl.mean()), float(pnl.std(ddof=1)))


def ewma(pnl: Floats) -> Again:
    weights = 0.94 ** np.arange(len(pnl) - 1, -1, -1)
    return normal(0.0, math.sqrt(np.average(pnl**2, weights=weights)))


def cornish_fisher(pnl: Floats, *, with_es: bool = True) -> Again:
    skewness, kurtosis = float(stats.skew(pnl)), float(stats.kurtosis(pnl))

    def expanded(z: Floats) -> Floats:
        cubic = (z**3 - 3 * z) * kurtosis / 24 - (2 * z**3 - 5 * z) * skewness**2 / 36
        return np.asarray(z + (z**2 - 1) * skewness / 6 + cubic)

    def weighted(z: float) -> float:
        return float(expanded(np.asarray(z)) * stats.norm.pdf(z))

    if np.diff(expanded(np.linspace(-50, 50, 2_001))).min() < 0:
        return replace(historical(pnl), fallback=True)
    mean, deviation = float(pnl.mean()), float(pnl.std(ddof=1))
    var, es = {}, {}
    for level in LEVELS:
        z, share = float(stats.norm.ppf(1 - level / 100)), 1 - level / 100
        var[level] = -(mean + deviation * float(expanded(np.asarray(z))))
        if with_es:
            es[level] = -(mean + deviation * integrate.quad(weighted, -40, z)[0] / share)
    return Again(var=var, es=es)


AGAIN = {
    VarMethod.HISTORICAL: historical,
    VarMethod.PARAMETRIC: parametric,
    VarMethod.CORNISH_FISHER: cornish_fisher,
    VarMethod.EWMA: ewma,
}


# ----------------------------------------------------------------------------- an account of twenty real shares


@pytest.fixture
def shares(tmp_path: Path) -> Path:
    """The latest 500 returns of twenty shares, as a file."""
    with gzip.open(recording(SHARES), "rt") as stream:
        header, *lines = stream.read().splitlines()
    path = tmp_path / "shares.csv.gz"
    path.write_bytes(gzip.compress("\n".join([header, *lines[-DAYS - 1 :]]).encode()))
    return path


def import_prices(path: Path, *options: str) -> dict[str, object]:
    said = StringIO()
    call_command("import_prices", str(path), "--json", *options, stdout=said)
    found: dict[str, object] = json.loads(said.getvalue())
    return found


def account(symbols: list[str]) -> dict[str, float]:
    """Return values of positions, long and short, that differ by symbol."""
    return {symbol: (1 if number % 3 else -1) * (20_000.0 + 7_500 * number) for number, symbol in enumerate(symbols)}


def pnl_again(values: dict[str, float]) -> Floats:
    """Return what the account would have made, from the recording itself."""
    symbols, _, closes = real_closes(SHARES)
    closes = closes[-DAYS - 1 :]
    assert symbols == list(values)
    return np.asarray((closes[1:] / closes[:-1] - 1) @ np.asarray(list(values.values())))


def test_every_price_of_the_file_is_kept_exactly(shares):
    assert import_prices(shares)["added"] == 20 * (DAYS + 1)
    with gzip.open(shares, "rt") as stream:
        for line in csv.DictReader(stream):
            kept = dict(PriceBar.objects.filter(start=f"{line['Date']}T00:00Z").values_list("symbol", "close"))
            assert kept == {symbol: Decimal(text) for symbol, text in line.items() if symbol != "Date"}


@pytest.mark.parametrize("method", list(VarMethod))
def test_var_and_es_of_twenty_positions_are_those_of_a_textbook(shares, method):
    import_prices(shares)
    values = account(real_closes(SHARES)[0])
    history = load_history(values, days=DAYS)
    risk = history.returns.pnl_of(values).risk(method)
    again = AGAIN[method](pnl_again(values))
    assert (risk.ready, risk.observations, risk.uncovered, risk.fallback) == (True, DAYS, (), again.fallback)
    shares_of_equity = risk.over_equity(EQUITY)
    assert shares_of_equity is not None
    for level in LEVELS:
        assert risk.var(level) == pytest.approx(again.var[level], rel=1e-8)
        assert risk.es(level) == pytest.approx(again.es[level], rel=1e-8)
        assert shares_of_equity.es(level) == pytest.approx(again.es[level] / EQUITY, rel=1e-8)
        assert 0.001 * EQUITY < risk.var(level) < 0.2 * EQUITY


def test_an_order_is_held_against_var_as_a_textbook_has_it(shares):
    import_prices(shares)
    ensure_defaults()
    values = account(real_closes(SHARES)[0])
    book = publish_returns(timezone.now(), days=DAYS)
    assert book is not None
    limits = tuple(policy(measure, "<=", 1) for measure in MEASURES)
    ages = Parameters(returns_max_age_us=100 * 365 * DAY)
    of = compiled(*limits, returns=loaded(book.version).returns, parameters=ages)
    held = [position(Decimal(value), symbol, entry_price=1, mark_price=1) for symbol, value in values.items()]
    asked = order(150_000, symbol="XOM", price=1)
    decision = check(asked, at=state(*held, equity=int(EQUITY)), under=of, prices={})
    bought = pnl_again({**dict.fromkeys(values, 0.0), "XOM": 150_000.0})
    again = historical(pnl_again(values) + np.minimum(bought, 0))  # no day is better for an order that may not trade
    shown = {name: float(value) for name, value in decision.post_trade_metrics.items() if value is not None}
    assert decision.approved
    for level in LEVELS:
        assert shown[f"var_{level}"] == pytest.approx(again.var[level] / EQUITY, abs=1e-6)
        assert shown[f"es_{level}"] == pytest.approx(again.es[level] / EQUITY, abs=1e-6)


def test_cornish_fisher_holds_for_the_account_so_that_its_formula_is_what_was_tested(shares):
    values = account(real_closes(SHARES)[0])
    assert not cornish_fisher(pnl_again(values)).fallback


# ----------------------------------------------------------------------------- 2,000 days of the S&P 500


@pytest.fixture
def rolling() -> dict[str, dict[str, object]]:
    """What the command says of each method at 99 percent."""
    import_prices(recording(INDEX))
    said = StringIO()
    arguments = ("SP500", "--days", str(TESTED), "--window", str(WINDOW), "--json")
    call_command("backtest_var", *arguments, stdout=said)
    results = json.loads(said.getvalue())["results"]
    return {result["method"]: result for result in results if result["percent"] == 99}


def breaches_again(method: VarMethod) -> list[str]:
    """Return the dates on which the index lost more than its 99 percent VaR of the 500 days before."""
    _, dates, closes = real_closes(INDEX)
    returns = closes[1:, 0] / closes[:-1, 0] - 1
    dates = dates[1:]
    # Integrating the tail of every day takes minutes.
    again = partial(cornish_fisher, with_es=False) if method is VarMethod.CORNISH_FISHER else AGAIN[method]
    found = []
    for day in range(len(returns) - TESTED, len(returns)):
        var = max(0.0, again(returns[day - WINDOW : day]).var[99])
        if -returns[day] > var:
            found.append(dates[day])
    return found


def kupiec_again(breaches: int) -> tuple[float, float]:
    likelihoods = [stats.binom.logpmf(breaches, TESTED, share) for share in (0.01, breaches / TESTED)]
    ratio = float(-2 * (likelihoods[0] - likelihoods[1]))
    return ratio, float(stats.chi2.sf(ratio, 1))


@pytest.mark.slow
def test_a_rolling_back_test_comes_out_as_an_independent_one(rolling):
    for method in VarMethod:
        result = rolling[method.value]
        dates = breaches_again(method)
        assert result["breach_dates"] == dates
        ratio, p_value = kupiec_again(len(dates))
        assert result["kupiec"] == pytest.approx({"statistic": ratio, "p_value": p_value}, rel=1e-6)


@pytest.mark.slow
def test_the_figures_of_the_documentation_are_these(rolling):
    figures = {
        method: (result["breaches"], result["kupiec"], result["independence"], result["zone"], result["fallback_days"])
        for method, result in rolling.items()
    }

    def ratio(statistic: float, p_value: float) -> object:
        return pytest.approx({"statistic": statistic, "p_value": p_value}, abs=0.0005)

    assert figures == {
        "historical": (32, ratio(6.153, 0.0131), ratio(15.163, 0.0001), "yellow", 0),
        "parametric": (65, ratio(64.256, 0.0), ratio(21.198, 0.0), "red", 0),
        "cornish_fisher": (27, ratio(2.230, 0.1353), ratio(7.917, 0.0049), "green", 506),
        "ewma": (49, ratio(30.243, 0.0), ratio(4.365, 0.0367), "red", 0),
    }
