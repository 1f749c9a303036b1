"""The bars of prices in memory. See state.bars.PriceBars."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from decimal import Decimal

from state.bars import BARS_LIFE_S, Bar, bar_price, minute_of, with_price


class MemoryBars:
    """Bars of prices, for all threads of the process.

    Parameters
    ----------
    lock
        The store's own, which `put` is called under.
    """

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._bars: dict[int, dict[str, Bar]] = {}
        self._counts: dict[int, int] = {}

    def put(self, symbol: str, price: Decimal, now_us: int) -> None:
        """Take a price into its bar. The caller holds the lock."""
        if not bar_price(price):
            return
        start_us = minute_of(now_us)
        bars = self._bars.get(start_us)
        if bars is None:
            bars = self._bars[start_us] = {}
            self._end(now_us)
        bars[symbol] = with_price(bars.get(symbol), price, now_us)
        self._counts[start_us] = len(bars)

    def _end(self, now_us: int) -> None:
        for start_us in [one for one in self._bars if one < now_us - BARS_LIFE_S * 1_000_000]:
            del self._bars[start_us]

    def minutes(self) -> dict[int, int]:
        with self._lock:
            return dict(sorted(self._counts.items()))

    def of(self, start_us: int) -> dict[str, Bar]:
        with self._lock:
            return dict(self._bars.get(start_us, {}))

    def forget(self, start_us: int, bars: Mapping[str, Bar]) -> None:
        with self._lock:
            kept = self._bars.get(start_us, {})
            for symbol, bar in bars.items():
                if kept.get(symbol) == bar:
                    del kept[symbol]
            if not kept:
                self._bars.pop(start_us, None)
                self._counts.pop(start_us, None)
