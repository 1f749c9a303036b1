"""Prices that are not written yet: of many ticks in a moment the newest matters, and the extremes for the bars."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest

from feeds.messages import PriceReport


class LastPrices:
    """The ticks of each symbol that wait: the first, the highest, the lowest and the last, in the order they came."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[PriceReport]] = {}

    def put(self, report: PriceReport) -> bool:
        """Take a tick over; return whether it is not older than the one that waits."""
        known = self._waiting.get(report.symbol)
        if known is None:
            self._waiting[report.symbol] = [report]
            return True
        if report.sent_at_us and report.sent_at_us < known[-1].sent_at_us:
            return False
        known.append(report)
        if len(known) > 4:
            self._waiting[report.symbol] = _thinned(known)
        return True

    def take(self) -> list[list[PriceReport]]:
        """Return what waits, which then waits no more, as rounds: what is to be written after one another.

        Each round has a symbol once at most; most often there is one round.
        """
        ticks = [_thinned(known) if len(known) > 2 else known for known in self._waiting.values()]
        self._waiting = {}
        return [[report for report in column if report is not None] for column in zip_longest(*ticks)]

    def put_back(self, rounds: Iterable[Iterable[PriceReport]]) -> None:
        """Let the newest prices wait again that could not be written, where no newer ones came meanwhile.

        The others were never in force: they are in no bar.
        """
        newest = {report.symbol: [report] for reports in rounds for report in reports}
        self._waiting = newest | self._waiting

    def __len__(self) -> int:
        return len(self._waiting)


def _thinned(ticks: list[PriceReport]) -> list[PriceReport]:
    """Return the first, the highest, the lowest and the last of one symbol's ticks."""
    places = range(len(ticks))
    highest = max(places, key=lambda place: ticks[place].price)
    lowest = min(places, key=lambda place: ticks[place].price)
    return [ticks[place] for place in sorted({0, highest, lowest, len(ticks) - 1})]
