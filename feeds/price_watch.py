"""Keeps looking at the prices that orders asked about, because only what was seen before can be seen written."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable

from feeds.flights import Flights, wait_for
from feeds.seldom import Seldom

logger = logging.getLogger(__name__)

# For how long a symbol is looked at after an order needed its price, in seconds; and one that has no price at all.
_WATCHED_S = 3600.0
_WITHOUT_PRICE_S = 10.0

# Symbols that are looked at, at most.
MOST_WATCHED = 2_000

# A look that takes longer than this is not waited for, in seconds.
_PATIENCE_S = 1.0

_NEVER_S = float("-inf")


class PriceWatch:
    """Looks at the prices of what was asked about, in a thread that begins with the first question.

    Of too many symbols those are looked at that somebody is known to trade, then those that have a price, then the
    ones that were asked about last: a symbol in an order is whatever its sender made up.

    Parameters
    ----------
    prices
        What brings prices; the values say whether there is one.
    every_s
        How long after one look the next follows, in seconds.
    needs
        Returns whether a symbol needs to be looked at.
    clock
        Seconds that only go forward.
    """

    def __init__(
        self,
        prices: Flights[bool],
        *,
        every_s: float,
        needs: Callable[[str], bool] = lambda _symbol: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._prices, self._every_s, self._needs, self._clock = prices, every_s, needs, clock
        # When a symbol was asked about last, and when as one that is known.
        self._asked_s: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._seldom = Seldom(logger)

    def ask(self, symbols: Iterable[str], *, known: Collection[str] = ()) -> None:
        """Take note of symbols that an order needs a price of; `known` are those of accounts and of the book."""
        needed = [symbol for symbol in symbols if self._needs(symbol)]
        if not needed:
            return
        now_s = self._clock()
        with self._lock:
            for symbol in needed:
                _asked_s, known_s = self._asked_s.get(symbol, (now_s, _NEVER_S))
                self._asked_s[symbol] = (now_s, now_s if symbol in known else known_s)
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._watch, name="price watch", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def watched(self) -> list[str]:
        """Return what is to be looked at, and forget what is not any more."""
        with self._lock:
            now_s = self._clock()
            ranked = sorted(
                (
                    (self._rank(symbol, known_s, now_s), asked_s, symbol)
                    for symbol, (asked_s, known_s) in self._asked_s.items()
                    if now_s - asked_s <= self._life_s(symbol)
                ),
                reverse=True,
            )
            kept = [symbol for _rank, _asked_s, symbol in ranked[:MOST_WATCHED]]
            self._asked_s = {symbol: self._asked_s[symbol] for symbol in kept}
        return [symbol for symbol in kept if self._needs(symbol)]

    def _rank(self, symbol: str, known_s: float, now_s: float) -> tuple[bool, bool]:
        return now_s - known_s <= _WATCHED_S, self._prices.value(symbol) is True

    def _life_s(self, symbol: str) -> float:
        return _WITHOUT_PRICE_S if self._prices.value(symbol) is False else _WATCHED_S

    def _watch(self) -> None:
        while not self._closed.wait(self._every_s):
            try:
                self._look()
            except Exception as error:  # without this thread no price would ever be seen written again
                self._seldom.warn("prices were not looked at, the next look follows: %r", error)

    def _look(self) -> None:
        # What a check has looked at half a round ago may wait for the next round.
        wait_for(self._prices.begin(self.watched(), self._every_s / 2), _PATIENCE_S)
