"""A limit in its hours, from its first moment to its last: at every door that looks at one."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import localcontext

import pytest
from msgspec.structs import replace

from riskcore.book import Policy
from riskcore.calendar import microseconds
from riskcore.compiled import CompiledBook
from riskcore.decide import decide, reevaluate
from riskcore.decimals import EXACT
from riskcore.firm import firm_of
from riskcore.overview import overview
from riskcore.picture import readings_of, take_picture
from riskcore.schedule import ActiveWindow
from tests.riskcore.builders import DAY, NOW, account, compiled, inputs, marks, order, policy, state, view

HOUR = 3_600_000_000
# NOW is a Wednesday, 12:00 UTC.
MORNING = ActiveWindow(days=(2,), from_minute=8 * 60, to_minute=12 * 60)
AFTERNOON = ActiveWindow(days=(2,), from_minute=12 * 60, to_minute=18 * 60)


def small(**what: object) -> Policy:
    return policy("order_notional", "<=", 1_000, **what)


def passes(under: CompiledBook, now_us: int = NOW) -> bool:
    seen = replace(state(), received_at_us=now_us, day_end_us=now_us + DAY)
    prices = {symbol: replace(price, received_at_us=now_us) for symbol, price in marks().items()}
    return decide(inputs(order(), seen, now_us=now_us, prices=prices), under).decision.approved


def test_outside_of_its_hours_a_limit_is_none():
    assert not passes(compiled(small(active=(AFTERNOON,))))
    assert passes(compiled(small(active=(MORNING,))))


def test_it_begins_and_ends_to_the_microsecond():
    under = compiled(small(active=(MORNING,)))
    begin = NOW - 4 * HOUR
    assert [passes(under, at) for at in (begin - 1, begin, NOW - 1, NOW)] == [True, False, False, True]


def test_it_may_be_asked_in_any_order_of_time():
    under = compiled(small(active=(MORNING,)))
    at = (NOW, NOW - HOUR, NOW + HOUR, NOW - HOUR, NOW - 5 * HOUR, NOW - 2 * HOUR)
    assert [passes(under, each) for each in at] == [True, False, True, False, True, False]


@pytest.mark.parametrize(("since", "until"), [(1, 0), (0, -1), (-2, 0), (-2, -1), (1, 2)])
def test_effective_from_is_within_it_and_until_is_not(since, until):
    bounds = {"effective_from_us": NOW + since if since else 0, "effective_until_us": NOW + 1 + until if until else 0}
    in_force = since <= 0 and until >= 0
    assert passes(compiled(small(**bounds))) is not in_force


def test_of_two_books_in_a_day_each_phase_is_compiled_once():
    under = compiled(small(active=(MORNING,)), policy("leverage", "<=", 5))
    assert under.at(NOW) is under.at(NOW + HOUR)
    assert under.at(NOW - HOUR) is under.at(NOW - HOUR)
    assert under.at(NOW + DAY) is under.at(NOW)
    assert under.at(NOW) is not under.at(NOW - HOUR)
    assert under.at(NOW).at(NOW - HOUR) is under.at(NOW)  # it is one of a moment already


def test_a_book_without_times_is_itself():
    under = compiled(small())
    assert under.at(NOW) is under


def test_more_phases_than_are_kept_are_worked_out_again():
    each = [small(id=f"{hour}", effective_from_us=NOW + hour * HOUR) for hour in range(1, 100)]
    under = compiled(*each)
    assert passes(under)
    assert not any(passes(under, NOW + hour * HOUR) for hour in range(1, 100))
    assert passes(under)


def test_a_decision_is_worked_out_again_as_it_was_whenever_that_is():
    under = compiled(small(active=(AFTERNOON,)))
    asked = inputs(order(), state())
    before = reevaluate(asked, under)
    assert passes(under, NOW - HOUR)
    assert reevaluate(asked, under) == before


def test_the_picture_of_an_account_and_of_the_firm_has_those_of_the_moment():
    under = compiled(policy("leverage", "<=", 5, active=(MORNING,)), policy("gross_exposure", "<=", 9))
    for now_us, expected in ((NOW, {"gross_exposure"}), (NOW - HOUR, {"leverage", "gross_exposure"})):
        seen = overview(view(), under, now_us)
        named = {limit.metric for limit in seen.limits if not limit.policy_id.startswith("profile:")}
        assert named == expected
        with localcontext(EXACT):
            firm = firm_of([take_picture(view(), under, now_us, ())], under, now_us)
            assert {reading.limit.metric.name for reading in readings_of(firm)} == expected


def test_hours_follow_the_clock_over_daylight_saving():
    hours = ActiveWindow(zone="America/New_York", from_minute=9 * 60 + 30, to_minute=16 * 60)
    under = compiled(small(active=(hours,)))
    before, after = (microseconds(datetime(2026, 3, day, 13, 45, tzinfo=UTC)) for day in (6, 9))
    assert passes(under, before)  # 08:45 in New York
    assert not passes(under, after)  # 09:45, the clocks were put forward on the 8th


def test_accounts_are_those_of_the_book():
    assert compiled(small(active=(MORNING,))).at(NOW).accounts == {"A": account()}
