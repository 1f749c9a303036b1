"""Charts show every extreme and every gap, however many points there are."""

from __future__ import annotations

from decimal import Decimal
from itertools import groupby
from random import Random

import pytest

from dashboard.curves import MOST, Row, thinned, with_gaps

WEEK_S = 168 * 3600.0
NOTHING = (None,) * 4


def rows(count: int, *, every_s: float = 60.0, seed: int = 1) -> list[Row]:
    """Return rows of four curves, of which the last is not always known."""
    random = Random(seed)
    return [
        (
            place * every_s,
            (
                *(Decimal(random.randint(-(10**6), 10**6)) for _ in range(3)),
                Decimal(random.randint(0, 9)) if random.random() < 0.5 else None,
            ),
        )
        for place in range(count)
    ]


def week(count: int, seed: int = 1) -> list[Row]:
    return rows(count, every_s=WEEK_S / count, seed=seed)


# ------------------------------------------------------------------------------------------------------ gaps


def test_rows_as_far_apart_as_usual_have_no_gap():
    known = [(0.0, (Decimal(1),)), (60.0, (Decimal(2),)), (185.0, (Decimal(3),))]  # a task may have been left out
    assert list(with_gaps(known, 60.0)) == known


def test_where_rows_are_missing_there_is_one_without_values():
    known = [(0.0, (Decimal(1), Decimal(5))), (600.0, (Decimal(2), Decimal(6)))]
    assert list(with_gaps(known, 60.0)) == [known[0], (60.0, (None, None)), known[1]]


def test_nothing_has_no_gaps():
    assert list(with_gaps([], 60.0)) == []


# -------------------------------------------------------------------------------------------------- thinning


@pytest.mark.parametrize("count", [0, 1, 1_440, MOST], ids=str)
def test_as_many_as_a_chart_takes_all_stay(count):
    assert thinned(rows(count), 0.0, count * 60.0) == rows(count)


@pytest.mark.parametrize("count", [MOST + 1, 3_000, 10_080, 50_000], ids=str)
def test_a_chart_never_has_more(count):
    found = thinned(week(count), 0.0, WEEK_S)
    assert len(found) <= MOST
    assert len(found) > MOST / 4


def test_what_stays_was_there_in_its_order_and_once():
    all_rows = week(10_080)
    found = thinned(all_rows, 0.0, WEEK_S)
    assert [at_s for at_s, _ in found] == sorted({at_s for at_s, _ in found})
    assert set(found) <= set(all_rows)


def test_the_first_and_the_last_stay():
    all_rows = week(10_080)
    found = thinned(all_rows, 0.0, WEEK_S)
    assert (found[0], found[-1]) == (all_rows[0], all_rows[-1])


@pytest.mark.parametrize("seed", range(3), ids=str)
def test_every_part_of_the_time_keeps_the_extremes_and_the_unknown_of_each_curve(seed):
    all_rows = week(10_080, seed)
    before, after = by_part(all_rows), by_part(thinned(all_rows, 0.0, WEEK_S))
    assert before == after


def by_part(some: list[Row]) -> dict[int, list[tuple[Decimal | None, ...]]]:
    """Return of each part the least and the most of each curve, and None where it is unknown for once."""
    parts = (MOST - 2) // 12
    found: dict[int, list[tuple[Decimal | None, ...]]] = {}
    for part, rows_of in groupby(some, key=lambda row: int(row[0] / (WEEK_S / parts))):
        curves = zip(*(values for _, values in rows_of), strict=True)
        found[part] = list(map(told, curves))
    return found


def told(curve: tuple[Decimal | None, ...]) -> tuple[Decimal | None, ...]:
    known = [value for value in curve if value is not None]
    return min(known), max(known), *([None] if None in curve else [])


def test_a_gap_stays_a_gap():
    all_rows = week(10_080)
    hole = [row for row in all_rows if not 300_000 < row[0] < 330_000]
    found = thinned(with_gaps(hole, WEEK_S / 10_080), 0.0, WEEK_S)
    (gap_s,) = [at_s for at_s, values in found if values == NOTHING]
    assert 300_000 < gap_s < 301_000


def test_many_gaps_do_not_make_it_more():
    seldom = rows(5_000, every_s=120.0)
    found = thinned(with_gaps(seldom, 10.0), 0.0, 600_000.0)
    assert len(found) <= MOST
    assert sum(values == NOTHING for _, values in found) > 50


def test_points_all_in_one_moment_of_the_time_are_not_more():
    crowded = rows(20_000, every_s=0.01)
    assert len(thinned(crowded, 0.0, WEEK_S)) <= MOST
