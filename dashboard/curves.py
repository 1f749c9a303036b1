"""Points of history made fit for a chart: gaps are shown as such, and of too many those stay that one would see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import chain, groupby, islice
from typing import TypeAlias

# Most rows of a chart.
MOST = 1_500

# The moment (seconds since the epoch), and the value of each curve then; None: not known.
Row: TypeAlias = tuple[float, tuple[Decimal | None, ...]]

# After so many times the usual distance between two points, one is missing: tasks come a little late, and states too.
_PATIENCE = 2.5


def with_gaps(rows: Iterable[Row], every_s: float) -> Iterator[Row]:
    """Yield rows in the order of their time, with one without values wherever some are missing.

    `every_s` is how far they usually are apart.
    """
    before_s: float | None = None
    for row in rows:
        if before_s is not None and row[0] - before_s > _PATIENCE * every_s:
            yield before_s + every_s, (None,) * len(row[1])
        yield row
        before_s = row[0]


def thinned(rows: Iterable[Row], since_s: float, until_s: float, most: int = MOST) -> list[Row]:
    """Return at most `most` of the rows from `since_s` to `until_s`, in their order; all where they are no more.

    Of more, each part of the time keeps the rows with the smallest and the largest value of each curve, and the first
    on which it has none: extremes and gaps are seen as they were. The first and the last row of all stay.
    """
    coming = iter(rows)
    head = list(islice(coming, most + 1))
    if len(head) <= most:
        return head
    parts = (most - 2) // (3 * len(head[0][1]))
    width_s = (until_s - since_s) / parts
    kept = [head[0]]
    last = head[0]
    for _, some in groupby(chain(head, coming), key=lambda row: min(int((row[0] - since_s) / width_s), parts - 1)):
        part = list(some)
        kept.extend(row for row in _told(part) if row is not head[0])
        last = part[-1]
    return kept if kept[-1] is last else [*kept, last]


def _told(part: Sequence[Row]) -> list[Row]:
    """Return those rows of a part that tell its extremes and its gaps."""
    places: set[int] = set()
    for curve in zip(*(values for _, values in part), strict=True):
        known = [(value, place) for place, value in enumerate(curve) if value is not None]
        if known:
            places |= {min(known)[1], max(known)[1]}
        if len(known) < len(part):
            places.add(curve.index(None))
    return [part[place] for place in sorted(places)]
