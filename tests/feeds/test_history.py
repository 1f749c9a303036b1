"""Prices as aligned returns: which days count, which symbols are left out, and that nothing is made up."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest

from feeds.history import LeftOut, do_keep_equity, load_history
from feeds.models import EquityPoint
from tests.feeds.market import FIRST, keep, walk

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


# ------------------------------------------------------------------------------------------------------ returns


def test_a_return_is_the_close_over_the_close_before_it_less_one():
    keep({"ACME": [100.0, 110.0, 99.0] + [99.0] * 30, "EMCA": [50.0, 50.0, 100.0] + [100.0] * 30})
    history = load_history(["EMCA", "ACME"], days=100)
    assert history.returns.symbols == ("ACME", "EMCA")
    assert history.returns.columns[:, :3] == pytest.approx(np.asarray([[0.1, -0.1, 0.0], [0.0, 1.0, 0.0]]), abs=1e-15)
    assert history.days == tuple(day(number) for number in range(1, 33))


def test_the_latest_days_are_taken():
    prices = walk(60)
    keep({"ACME": prices})
    history = load_history(["ACME"], days=25)
    assert history.days == tuple(day(number) for number in range(35, 60))
    assert history.returns.columns[0].tolist() == [now / before - 1 for before, now in pairwise(prices[34:])]


def test_fewer_days_than_wanted_are_all_there_are():
    keep({"ACME": walk(30)})
    assert len(load_history(["ACME"], days=500).days) == 29


def test_a_day_on_which_one_has_no_price_is_left_out_for_all():
    flat = [100.0] * 40
    holes: list[float | None] = [100.0] * 19 + [None, None] + [121.0] * 19
    keep({"ACME": flat, "EMCA": holes})
    history = load_history(["ACME", "EMCA"], days=100)
    assert len(history.days) == 37
    assert not {day(19), day(20)} & set(history.days)
    spanning = history.days.index(day(21))
    assert history.returns.columns[1][spanning] == pytest.approx(0.21)
    assert history.closes == {"ACME": 40, "EMCA": 38}


def test_prices_after_the_last_date_are_not_looked_at():
    prices = walk(60)
    keep({"ACME": prices})
    before = load_history(["ACME"], days=25, until=day(40))
    assert before.days[-1] == day(40)
    keep({"ACME": {day(60): 1.0}})
    again = load_history(["ACME"], days=25, until=day(40))
    assert again.returns.version == before.returns.version


def test_bars_of_a_minute_are_no_days():
    keep({"ACME": walk(30)})
    keep({"ACME": {day(30): 1.0}}, interval="1m")
    assert load_history(["ACME"], days=500).days[-1] == day(29)


def test_days_long_before_are_not_looked_at():
    keep({"ACME": {day(-200): 5.0, **dict(enumerate_days(40))}})
    assert load_history(["ACME"], days=50).closes == {"ACME": 40}


def enumerate_days(number: int) -> list[tuple[date, float]]:
    return [(day(each), 100.0 + each) for each in range(number)]


def test_no_days_are_refused():
    with pytest.raises(ValueError, match="0 days"):
        load_history(["ACME"], days=0)


# ------------------------------------------------------------------------------------------------------ left out


def test_a_symbol_without_prices_is_named():
    keep({"ACME": walk(40)})
    history = load_history(["ACME", "XYZ"], days=30)
    assert history.left_out == {"XYZ": LeftOut.NO_PRICES}
    assert history.returns.pnl_of({"ACME": 1.0, "XYZ": 1.0}).risk().uncovered == ("XYZ",)


def test_without_any_prices_there_are_no_returns():
    history = load_history(["XYZ", "ABC"], days=30)
    assert history.left_out == {"ABC": LeftOut.NO_PRICES, "XYZ": LeftOut.NO_PRICES}
    assert (history.days, history.returns.days, history.returns.symbols) == ((), 0, ())
    assert history.returns.pnl_of({"XYZ": 1.0}).risk().ready is False


def test_without_any_symbols_there_are_no_returns():
    history = load_history([], days=30)
    assert (history.days, history.left_out, history.returns.days) == ((), {}, 0)


def test_a_symbol_whose_prices_ended_does_not_end_the_others():
    keep({"ACME": walk(60), "GONE": walk(52)})
    history = load_history(["ACME", "GONE"], days=30)
    assert history.left_out == {"GONE": LeftOut.ENDED}
    assert history.days[-1] == day(59)


def test_a_week_without_prices_is_not_the_end():
    keep({"ACME": walk(60), "LATE": walk(53)})
    history = load_history(["ACME", "LATE"], days=30)
    assert history.left_out == {}
    assert history.days[-1] == day(52)


def test_a_new_listing_does_not_take_the_others_days_away():
    keep({"ACME": walk(200), "NEW": dict(enumerate_days(200)[-60:])})
    history = load_history(["ACME", "NEW"], days=150)
    assert history.left_out == {"NEW": LeftOut.TOO_SHORT}
    assert len(history.days) == 150
    assert history.closes["NEW"] == 60


def test_half_of_the_days_are_enough():
    keep({"ACME": walk(200), "NEW": dict(enumerate_days(200)[-75:])})
    history = load_history(["ACME", "NEW"], days=150)
    assert history.left_out == {}
    assert len(history.days) == 74


def test_where_all_are_new_the_days_there_are_do():
    keep({"ACME": walk(30), "NEW": walk(30, seed=2)})
    history = load_history(["ACME", "NEW"], days=500)
    assert (history.left_out, len(history.days)) == ({}, 29)


def test_under_twenty_returns_nobody_is_covered():
    keep({"ACME": walk(20)})
    assert load_history(["ACME"], days=500).left_out == {"ACME": LeftOut.TOO_SHORT}
    keep({"ACME": {day(20): 100.0}})
    assert load_history(["ACME"], days=500).left_out == {}


# ------------------------------------------------------------------------------------------------------- version


def test_the_version_names_the_content():
    keep({"ACME": walk(60), "EMCA": walk(60, seed=2)})
    version = load_history(["ACME", "EMCA"], days=30).returns.version
    assert load_history(["EMCA", "ACME"], days=30).returns.version == version
    assert load_history(["ACME"], days=30).returns.version != version
    assert load_history(["ACME", "EMCA"], days=29).returns.version != version


def test_another_price_is_another_version():
    keep({"ACME": walk(60)})
    before = load_history(["ACME"], days=30).returns.version
    keep({"ACME": {day(60): walk(60)[-1] + 0.0001}})
    assert load_history(["ACME"], days=30).returns.version != before


def test_history_is_two_queries(django_assert_num_queries):
    keep({"ACME": walk(60), "EMCA": walk(60)})
    with django_assert_num_queries(2):
        load_history(["ACME", "EMCA"], days=30)


# -------------------------------------------------------------------------------------------------------- equity


def point(seconds_ago: float, equity: str, account: str = "desk-1") -> EquityPoint:
    return EquityPoint(account_id=account, at=NOW - timedelta(seconds=seconds_ago), equity=Decimal(equity))


def test_equity_of_a_moment_is_kept_once():
    do_keep_equity([point(30, "95000")])
    do_keep_equity([point(30, "1"), point(20, "96000")])
    assert list(EquityPoint.objects.values_list("equity", flat=True)) == [95_000, 96_000]
