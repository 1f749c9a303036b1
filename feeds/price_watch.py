"""Keeps looking at the prices that orders asked about, because only what was seen before can be seen written."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from feeds.flights import Flights, wait_for

# For how long a symbol is looked at after an order needed its price, in seconds; and one that has no price at all.
_WATCHED_S = 3600.0
_WITHOUT_PRICE_S = 10.0

# Symbols that are looked at, at most: the ones that were asked about last.
MOST_WATCHED = 2_000

# A look that takes longer than this is not waited for, in seconds.
_PATIENCE_S = 1.0


class PriceWatch:
    """Looks at the prices of what was asked about, in a thread that begins with the first question.

    Parameters
    ----------
    prices
        What brings prices; the values say whether there is one.
    every_s
        How long after one look the next follows, in seconds.
    clock
        Seconds that only go forward.
    """

    def __init__(self, prices: Flights[bool], *, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._prices, self._every_s, self._clock = prices, every_s, clock
        self._asked_s: dict[str, float] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def ask(self, symbols: Iterable[str]) -> None:
        """Take note of symbols that an order needs a price of."""
        now_s = self._clock()
        for symbol in symbols:
            self._asked_s[symbol] = now_s
        if self._thread is None:
            self._start()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def watched(self) -> list[str]:
        """Return what is to be looked at, and forget what is not any more."""
        now_s = self._clock()
        asked = sorted(self._asked_s.items(), key=lambda one: one[1], reverse=True)
        kept = [symbol for symbol, asked_s in asked if now_s - asked_s <= self._life_s(symbol)][:MOST_WATCHED]
        for symbol in {symbol for symbol, _asked_s in asked}.difference(kept):
            self._asked_s.pop(symbol, None)
        return kept

    def _life_s(self, symbol: str) -> float:
        return _WITHOUT_PRICE_S if self._prices.value(symbol) is False else _WATCHED_S

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._look, name="price watch", daemon=True)
                self._thread.start()

    def _look(self) -> None:
        # What a check has looked at half a round ago may wait for the next round.
        while not self._closed.wait(self._every_s):
            wait_for(self._prices.begin(self.watched(), self._every_s / 2), _PATIENCE_S)
