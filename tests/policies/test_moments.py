"""When something goes live, as people write it: exact over a change of the clocks, or refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.core.exceptions import ValidationError

from policies.requests.moments import read_moment


@pytest.mark.parametrize("text", ["", "soon", "2026-02-30T09:00", "09:30", "0001-01-01T00:00", "9999-12-31T23:59"])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(ValidationError, match="Expected a day and a time"):
        read_moment(text, "Europe/Berlin")


def test_a_time_that_is_left_out_when_the_clocks_go_forward_is_refused():
    with pytest.raises(ValidationError, match="is left out"):
        read_moment("2026-03-29T02:30", "Europe/Berlin")


def test_a_time_that_comes_twice_when_the_clocks_go_back_is_refused():
    with pytest.raises(ValidationError, match="comes twice"):
        read_moment("2026-10-25T02:30", "Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "hour"),
    [("2026-03-28T09:30", 8), ("2026-03-29T09:30", 7), ("2026-10-24T09:30", 7), ("2026-10-25T09:30", 8)],
)
def test_the_same_time_of_day_is_another_moment_after_the_clocks_are_changed(text, hour):
    assert read_moment(text, "Europe/Berlin") == datetime.fromisoformat(text).replace(hour=hour, tzinfo=UTC)


def test_a_moment_that_says_its_zone_is_taken_at_its_word():
    assert read_moment("2026-10-25T02:30+01:00", "Europe/Berlin") == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
