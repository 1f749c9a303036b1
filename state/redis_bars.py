"""The bars of prices in Redis, kept in the first lane. See state.bars.PriceBars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from state import keys
from state.bars import Bar, decode_bar, encode_bar
from state.redis_scripts import FORGET_BARS
from state.store import StateUnavailable

_AT_ONCE = 500
_LANE = 0


class RedisBars:
    """Bars of prices, from threads.

    Parameters
    ----------
    execute
        Sends a command: RedisConnections.execute.
    run
        Runs a script in a lane: script, lane, arguments.
    """

    def __init__(self, execute: Callable[..., Any], run: Callable[..., Any]) -> None:
        self._execute, self._run = execute, run

    def minutes(self) -> dict[int, int]:
        found = self._read(keys.prefix(_LANE) + keys.BAR_MINUTES)
        try:
            return dict(sorted((int(start_us), int(count)) for start_us, count in found.items()))
        except ValueError as error:
            raise StateUnavailable(f"the live state holds minutes of bars that cannot be read: {error}") from error

    def of(self, start_us: int) -> dict[str, Bar]:
        found = self._read(f"{keys.prefix(_LANE)}{keys.BARS}{start_us}")
        try:
            return {symbol.decode(): decode_bar(record) for symbol, record in found.items()}
        except (ValueError, ArithmeticError) as error:
            raise StateUnavailable(f"the live state holds a bar that cannot be read: {error}") from error

    def forget(self, start_us: int, bars: Mapping[str, Bar]) -> None:
        rest = iter(bars.items())
        while True:
            some = list(islice(rest, _AT_ONCE))
            pairs = [part for symbol, bar in some for part in (symbol, encode_bar(bar))]
            self._run(FORGET_BARS, _LANE, (start_us, *pairs))
            if len(some) < _AT_ONCE:
                return

    def _read(self, key: str) -> dict[bytes, bytes]:
        flat = self._execute("HGETALL", key, harmless=True)
        return dict(zip(flat[::2], flat[1::2], strict=True))
