"""The back-test on the command line."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from feeds.backtesting import backtest
from riskcore.types import VarMethod
from riskcore.var import tail_risk
from tests.feeds.market import FIRST, keep, walk

pytestmark = pytest.mark.django_db

DAYS = 200


@pytest.fixture(autouse=True)
def prices() -> None:
    keep({"ACME": walk(DAYS), "EMCA": walk(DAYS, seed=2), "GONE": walk(50)})


def run(*arguments: str) -> str:
    said = StringIO()
    call_command("backtest_var", *arguments, stdout=said)
    return said.getvalue()


def test_each_method_has_a_line_for_each_level():
    lines = run("ACME", "--days", "50", "--window", "100").splitlines()
    assert lines[0] == "One-day VaR of ACME 1"
    assert lines[1] == "50 days, 2026-05-31 to 2026-07-19, each by the 100 before it"
    levels = [line.split()[:2] for line in lines[4:12]]
    assert levels == [[method.value, level] for method in VarMethod for level in ("99", "95")]


def test_no_probability_is_shown_as_nothing():
    price, worse_every_day = 100.0, []
    for number in range(60):
        price *= 1 - number / 1000
        worse_every_day.append(price)
    keep({"FALL": worse_every_day})
    said = run("FALL", "--days", "30", "--window", "20", "--method", "historical", "--until", "2026-03-01")
    line = said.splitlines()[4].split()
    assert line[3:6] == ["30", "0.3", "100.00%"]
    assert "<0.0001" in line
    assert "0.0000" not in line


def test_json_has_the_same_and_the_dates_of_the_breaches():
    found = json.loads(run("ACME", "--days", "50", "--window", "100", "--json"))
    assert (found["days"], found["window"], found["weights"]) == (50, 100, {"ACME": 1.0})
    assert len(found["results"]) == 8
    for result in found["results"]:
        assert len(result["breach_dates"]) == result["breaches"]
        assert set(result["kupiec"]) == {"statistic", "p_value"}


def test_one_method_may_be_tested_alone():
    found = json.loads(run("ACME", "--days", "50", "--window", "100", "--json", "--method", "ewma"))
    assert {result["method"] for result in found["results"]} == {"ewma"}


def test_symbols_without_weights_weigh_alike():
    found = json.loads(run("acme", "emca", "--days", "50", "--window", "100", "--json"))
    assert found["weights"] == {"ACME": 0.5, "EMCA": 0.5}


def test_weights_are_fractions_of_equity_and_may_be_short():
    found = backtest({"ACME": 0.5, "EMCA": -0.25}, days=1, window=100, methods=[VarMethod.PARAMETRIC])
    acme, emca = walk(DAYS), walk(DAYS, seed=2)
    pnl = [0.5 * (acme[n] / acme[n - 1] - 1) - 0.25 * (emca[n] / emca[n - 1] - 1) for n in range(DAYS - 101, DAYS)]
    (tested,) = found.results
    assert tested.rolled.var_99[0] == pytest.approx(
        tail_risk(np.asarray(pnl[:-1]), VarMethod.PARAMETRIC).var_99, rel=1e-12
    )
    assert tested.rolled.losses[0] == pytest.approx(-pnl[-1], rel=1e-12)


@pytest.mark.parametrize("method", list(VarMethod))
def test_a_change_of_the_future_changes_no_estimate_before_it(method):
    until = FIRST + timedelta(days=DAYS - 1)
    before = backtest({"ACME": 1.0}, days=50, window=100, methods=[method])
    keep({"ACME": {until + timedelta(days=number): 1.0 + number for number in range(1, 11)}})
    after = backtest({"ACME": 1.0}, days=60, window=100, methods=[method])
    assert after.days[:50] == before.days
    assert after.results[0].rolled.var_99[:50].tolist() == before.results[0].rolled.var_99.tolist()
    assert after.results[0].rolled.losses[:50].tolist() == before.results[0].rolled.losses.tolist()


def test_the_last_date_may_be_said():
    found = json.loads(run("ACME", "--days", "10", "--window", "20", "--json", "--until", "2026-03-01"))
    assert found["last"] == "2026-03-01"


def test_it_is_said_where_cornish_fisher_gave_way():
    crash = [*walk(100), 50.0, *walk(60, seed=3)]
    keep({"WILD": crash})
    assert "cornish_fisher does not hold on 50 of the days" in run(
        "WILD", "--days", "50", "--window", "105", "--until", "2026-06-09"
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["XYZ"], "XYZ: there are no prices"),
        (["ACME", "GONE", "--days", "20", "--window", "20"], "GONE: its prices ended"),
        (["ACME"], "there are 199 days on which all have a return, but 250 to test and a window of 500 are 750"),
        (["ACME=0.5", "EMCA"], "Give a weight to every symbol, or to none"),
        (["ACME", "acme"], "ACME comes twice"),
        (["ACME=x"], "'ACME=x' is not SYMBOL=WEIGHT"),
        (["ACME=nan"], "'ACME=nan' is not SYMBOL=WEIGHT"),
        (["=1"], "'=1' is not SYMBOL=WEIGHT"),
        (["ACME", "--window", "19"], "--window must be from 20"),
        (["ACME", "--days", "0"], "--days must be from 1"),
        (["ACME", "--until", "yesterday"], "--until 'yesterday' is not a date"),
    ],
)
def test_what_cannot_be_tested_is_said(arguments, problem):
    with pytest.raises(CommandError) as caught:
        run(*arguments)
    assert problem in str(caught.value)
    assert caught.value.returncode == 1
