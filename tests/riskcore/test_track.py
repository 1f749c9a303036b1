"""How far equity fell within the last minutes, from the reports of it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcore.track import SLICES, EquityTrack, with_equity, worst_fall
from tests.riskcore.builders import NOW, SECOND, check, order, policy, state
from tests.support.properties import examples

D = Decimal
MINUTE = 60 * SECOND
WINDOW = 5 * MINUTE
SLICE = WINDOW // SLICES


def tracked(*points: tuple[float, int]) -> EquityTrack:
    """Return the track of equities, each by how many minutes ago it was."""
    track = EquityTrack()
    for minutes_ago, equity in points:
        track = with_equity(track, D(equity), NOW - round(minutes_ago * MINUTE), WINDOW)
    return track


def fallen(*points: tuple[float, int]) -> Decimal | None:
    return worst_fall(tracked(*points))


def test_without_a_report_it_is_not_defined() -> None:
    assert worst_fall(EquityTrack()) is None


def test_five_per_cent_are_exactly_the_limit() -> None:
    assert fallen((4, 100_000), (0, 95_000)) == D("0.05")


def test_the_fall_is_from_the_high_before_it() -> None:
    assert fallen((4, 80), (3, 100), (2, 90), (1, 95)) == D("0.1")


def test_so_it_is_within_one_slice() -> None:
    assert fallen((0.3, 80), (0.2, 100), (0.1, 90), (0, 95)) == D("0.1")


def test_what_rises_only_has_not_fallen() -> None:
    assert fallen((0.2, 60), (0.1, 70), (0.0, 100)) == 0
    assert fallen((4, 60), (2, 70), (0, 100)) == 0


def test_a_fall_that_has_been_made_up_for_still_counts() -> None:
    assert fallen((4, 100), (3, 90), (0, 120)) == D("0.1")


def test_a_high_that_has_left_the_window_does_not_count() -> None:
    assert fallen((5.6, 200), (1, 100), (0, 99)) == D("0.01")


def test_the_oldest_slice_counts_until_it_has_left() -> None:
    assert fallen((5, 200), (1, 100), (0, 99)) == D("0.505")


def test_a_loss_of_more_than_everything_is_above_one() -> None:
    assert fallen((4, 100), (1, -50)) == D("1.5")


def test_it_is_rounded_up() -> None:
    assert fallen((4, 3), (1, 2)) == D("0.333333333334")


@pytest.mark.parametrize("equity", [0, -1])
def test_where_it_began_at_nothing_it_is_not_defined(equity: int) -> None:
    assert fallen((1, equity), (0.9, 100), (0, 50)) is None


def test_and_defined_again_once_that_has_left_the_window() -> None:
    assert fallen((6, 0), (5.9, 100), (2, 100), (0, 50)) == D("0.5")


def test_what_fell_to_nothing_and_rose_again_fell_all_the_same() -> None:
    assert fallen((4, 100), (2, 0), (1.99, 50), (0, 60)) == 1


def test_a_clock_that_steps_back_forgets_nothing() -> None:
    assert fallen((1, 100), (3, 90)) == D("0.1")
    assert fallen((0, 100), (30, 90)) == D("0.1")


def test_another_window_starts_anew() -> None:
    track = with_equity(tracked((1, 100)), D(50), NOW, 2 * WINDOW)
    assert worst_fall(track) == 0


def test_no_more_is_kept_than_the_window() -> None:
    assert len(tracked(*((number / 10, 100) for number in range(200, -1, -1))).slices) == SLICES + 1


REPORTS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 10**6)), min_size=1, max_size=80)


@given(REPORTS)
@examples(300)
def test_it_is_the_fall_within_the_window_or_a_slice_more(reports: list[tuple[int, int]]) -> None:
    now, points, track = NOW, [], EquityTrack()
    for seconds, equity in reports:
        now += seconds * SECOND
        points.append((now, D(equity)))
        track = with_equity(track, D(equity), now, WINDOW)
    found = worst_fall(track)
    assert found is not None
    tolerance = D("1E-12")
    assert _largest(points, now - WINDOW) <= found + tolerance
    assert found <= _largest(points, now - WINDOW - SLICE) + tolerance


def _largest(points: list[tuple[int, Decimal]], since: int) -> Decimal:
    """The largest fall from one point to a later one, by looking at every pair."""
    inside = [equity for at, equity in points if at >= since]
    return max((high - low) / high for place, high in enumerate(inside) for low in inside[place:])


# ----------------------------------------------------------------------------------------------- as a limit


def test_a_limit_on_it_blocks_what_does_not_reduce() -> None:
    limit = policy("drawdown_rapid", "<=", "0.05")
    assert check(order(), limit, at=state(drawdown_rapid=D("0.05"))).approved
    blocked = check(order(), limit, at=state(drawdown_rapid=D("0.051")))
    assert [breach.metric for breach in blocked.violations] == ["drawdown_rapid"]
    assert not check(order(), limit, at=state(drawdown_rapid=None)).approved
