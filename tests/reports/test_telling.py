"""How reports say what was changed, how long something lasted, and when it happened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from reports.datasets.buckets import buckets
from reports.datasets.differences import difference
from reports.datasets.lasting import seconds, spoken

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
_EDITS = "edits: (kind policy, fields (threshold 8))"
FIRST = datetime(2026, 1, 31, 23, 59, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"threshold": "10"}, {"threshold": "8"}, "threshold: 10 -> 8"),
        ({"enabled": True, "window_s": 0}, {"enabled": False, "window_s": 5}, "enabled: yes -> no; window s: 0 -> 5"),
        ({"scope_ids": ["A"]}, {"scope_ids": ["A", "B"]}, "scope ids: A -> A, B"),
        ({"owner": ""}, {"owner": "risk"}, "owner: nothing -> risk"),
        ({"a": 1}, {"a": 1, "b": 2}, "b: nothing -> 2"),
        ({"a": 1}, {"a": 1}, ""),
        (None, {"name": "Max", "owner": "", "tags": []}, "name: Max"),
        ({"name": "Max"}, None, "name: Max"),
        (None, None, ""),
        (
            None,
            {"edits": [{"kind": "policy", "fields": {"threshold": "8"}}]},
            _EDITS,
        ),
    ],
    ids=["number", "several", "list", "empty", "new field", "same", "made", "deleted", "neither", "nested"],
)
def test_a_change_is_told_by_what_differs(before, after, told):
    assert difference(before, after) == told


def test_what_is_left_out_makes_no_difference():
    assert difference({"version": 1, "a": 1}, {"version": 2, "a": 1}, leave_out=("version",)) == ""


def test_of_a_long_list_only_what_came_and_went_is_told():
    before = {"members": [*"abcdef"]}
    assert difference(before, {"members": [*"abcdeg", "h"]}) == "members: added g, h, removed f"
    assert difference(before, {"members": [*"fedcba"]}) == "members: a, b, c, d, e, f -> f, e, d, c, b, a"


@pytest.mark.parametrize(
    ("lasted", "told"),
    [
        (timedelta(0), "0 ms"),
        (timedelta(microseconds=250), "0.25 ms"),
        (timedelta(seconds=1.25), "1.25 s"),
        (timedelta(seconds=59.4), "59.4 s"),
        (timedelta(seconds=59.9), "1 min"),
        (timedelta(seconds=179.99975), "3 min"),
        (timedelta(hours=2, minutes=5, seconds=9), "2 h 5 min"),
        (timedelta(days=1, seconds=5), "1 d"),
        (None, "none"),
    ],
    ids=str,
)
def test_a_duration_is_told_in_its_two_largest_units(lasted, told):
    assert spoken(lasted) == told


def test_a_duration_in_a_cell_is_exact():
    assert seconds(FIRST, FIRST + timedelta(days=3, microseconds=1)) == Decimal("259200.000001")
    assert seconds(FIRST, None) is None


@pytest.mark.parametrize(
    ("lasted", "unit", "labels"),
    [
        (timedelta(seconds=40), "minute", ["23:59", "00:00"]),
        (timedelta(hours=2), "hour", ["31 Jan 23:00", "01 Feb 00:00", "01 Feb 01:00"]),
        (timedelta(days=5), "day", ["31 Jan 2026", *(f"0{day} Feb 2026" for day in range(1, 6))]),
        (timedelta(days=365), "month", [*(f"{month} 2026" for month in MONTHS.split()), "Jan 2027"]),
        (timedelta(days=4_000), "year", [str(year) for year in range(2026, 2038)]),
    ],
    ids=["minute", "hour", "day", "month", "year"],
)
def test_a_period_is_told_in_parts_of_its_own_size(lasted, unit, labels):
    parts = buckets(FIRST, FIRST + lasted)
    assert (parts.unit, list(parts.labels())) == (unit, labels)


@pytest.mark.parametrize(
    "longest", [timedelta(minutes=90), timedelta(days=4), timedelta(days=100), timedelta(days=3_000)], ids=str
)
def test_there_are_at_most_about_a_hundred_parts(longest):
    assert len(buckets(FIRST, FIRST + longest).labels()) <= 101


def test_a_part_in_which_nothing_happened_is_zero():
    parts = buckets(FIRST, FIRST + timedelta(minutes=2))
    assert parts.values({FIRST.replace(second=0): 2}) == (2.0, 0.0, 0.0)
