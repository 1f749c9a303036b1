"""Looks at the prices that other programs keep in Redis as plain numbers: `market:prices:SYMBOL`.

A number says nothing of its age, and a key may outlive its writer. So a price counts only as far as it is known when
it was written, and never as younger than it may be (decision 0011):

- where writers give their keys a life that is known here, by how much of it has run out;
- else by having been seen written: between two looks, not far apart, the number has changed or its key's end has
  moved. A first look says nothing yet.

Its age travels as the price's stamp, so that the live state counts on from there, and takes no older look over a newer
one. All moments are the market Redis' own.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

from msgspec import Struct

from feeds import pull_metrics, values
from feeds.breaker import CircuitBreaker
from feeds.malformed import Wrong
from feeds.pull_metrics import PriceResult
from feeds.seldom import Seldom
from state.redis_wire import Argument, Refused
from state.store import StateUnavailable, Store

logger = logging.getLogger(__name__)

KEY = "market:prices:"

# What is remembered of symbols that nobody asks about any more is given up with this many.
_MOST_SEEN = 10_000
_LONGEST_SHOWN = 40


class Sight(Struct, frozen=True):
    """What a look has found of one symbol: the number as it is written, None where there is no key.

    `ends_at_us` is when the key's life is over, 0 where it has no end. `looked_at_us` is a moment before.
    """

    value: bytes | None
    ends_at_us: int
    looked_at_us: int


class Connections(Protocol):
    """As much of RedisConnections as is needed."""

    def read_all(self, commands: Sequence[tuple[Argument, ...]]) -> list[object]: ...


class Writing(Protocol):
    """A way to know when a price was written at the earliest."""

    def written_since_us(self, now: Sight, before: Sight | None, ended_us: int) -> int:
        """Return a moment after which the price was written, 0 where that is not known or it was not written anew.

        `before` is what the look before has found, `ended_us` a moment after the look.
        """
        ...


class KnownLife:
    """Keys live for so long from their writing on: what is left says how long ago that was."""

    def __init__(self, life_us: int) -> None:
        self._life_us = life_us

    def written_since_us(self, now: Sight, before: Sight | None, ended_us: int) -> int:
        """See Writing. A key that lives for longer was written by somebody who goes by another life: not known."""
        written_us = now.ends_at_us - self._life_us
        return written_us if now.ends_at_us and 0 < written_us <= ended_us else 0


class SeenWritten:
    """A price was written after the look before where it is another one now, or its key ends later.

    Parameters
    ----------
    apart_us
        How far apart two looks may be. Each price counts as this much older than its look: for whoever looks, the
        same moment gives the same age, so the newest look is the one that counts.
    """

    def __init__(self, apart_us: int) -> None:
        self._apart_us = apart_us

    def written_since_us(self, now: Sight, before: Sight | None, ended_us: int) -> int:
        """See Writing."""
        if before is None or not 0 <= now.looked_at_us - before.looked_at_us <= self._apart_us:
            return 0
        moved = 0 < before.ends_at_us < now.ends_at_us
        return now.looked_at_us - self._apart_us if moved or now.value != before.value else 0


class MarketPrices:
    """Brings prices into the live state; for threads, each symbol in one of them at a time.

    Parameters
    ----------
    connections
        To the Redis, and the database, in which the prices are.
    store
        The live state.
    writing
        How it is known when a price was written.
    tolerance_us
        How far a sender's clock may be behind before its stamp counts. These stamps are no sender's word but worked
        out, so they are put back by as much, or the prices would count as that much younger.
    breaker
        When to look at all.
    """

    def __init__(
        self, connections: Connections, store: Store, writing: Writing, *, tolerance_us: int, breaker: CircuitBreaker
    ) -> None:
        self._connections, self._store, self._writing = connections, store, writing
        self._tolerance_us, self._breaker = tolerance_us, breaker
        self._seen: dict[str, Sight] = {}
        self._seldom = Seldom(logger)

    def bring(self, symbols: Sequence[str]) -> dict[str, bool]:
        """Look at the prices of symbols, write those that are known to be new, and return which have one at all."""
        if not self._breaker.admits():
            pull_metrics.count_looks(PriceResult.NOT_ASKED, len(symbols))
            return {}
        try:
            found, ended_us = self._look(symbols)
        except StateUnavailable as error:
            self._breaker.failed()
            pull_metrics.count_looks(PriceResult.UNAVAILABLE, len(symbols))
            hint = "; PEXPIRETIME needs Redis 7" if isinstance(error, Refused) else ""
            self._seldom.warn("prices cannot be looked at (MARKET_REDIS_URL): %s%s", error, hint)
            return {}
        self._breaker.succeeded()
        self._keep(found, self._new_prices(found, ended_us))
        return {symbol: sight.value is not None for symbol, sight in found.items()}

    def _look(self, symbols: Sequence[str]) -> tuple[dict[str, Sight], int]:
        """Return what is there, and a moment after. Raises StateUnavailable.

        A key's end is read before its number: the two are never one writing's end and the number before it.
        """
        keys = [KEY + symbol for symbol in symbols]
        replies = self._connections.read_all(
            [("TIME",), *(("PEXPIRETIME", key) for key in keys), ("MGET", *keys), ("TIME",)]
        )
        began, ends, found, ended = replies[0], replies[1:-2], replies[-2], replies[-1]
        assert isinstance(found, list)
        looked_at_us = _moment_us(began)
        sights = {
            symbol: Sight(value, max(0, end) * 1000, looked_at_us)  # below 0: no end, or no key
            for symbol, value, end in zip(symbols, found, ends, strict=True)
            if isinstance(end, int)
        }
        return sights, _moment_us(ended)

    def _new_prices(self, found: Mapping[str, Sight], ended_us: int) -> dict[str, tuple[str, int]]:
        """Return the prices that are known to be new, as the store takes them, and count all."""
        new: dict[str, tuple[str, int]] = {}
        count = dict.fromkeys(PriceResult, 0)
        for symbol, sight in found.items():
            price = self._price(symbol, sight.value)
            if price is None:
                count[PriceResult.MISSING if sight.value is None else PriceResult.MALFORMED] += 1
                continue
            since_us = self._writing.written_since_us(sight, self._seen.get(symbol), ended_us)
            if not since_us:
                count[PriceResult.NOT_SEEN_WRITTEN] += 1
                continue
            new[symbol] = (f"{price:f}", max(1, since_us - self._tolerance_us))
        for result, symbols in count.items():
            pull_metrics.count_looks(result, symbols)
        return new

    def _price(self, symbol: str, value: bytes | None) -> Decimal | None:
        """Return the number, None where it is no price."""
        try:
            return None if value is None else values.positive(b'"%b"' % value)
        except Wrong as wrong:
            shown = value[:_LONGEST_SHOWN] if value is not None else b""
            self._seldom.warn("%s%s is %r: it %s", KEY, symbol, shown, wrong.message)
            return None

    def _keep(self, found: Mapping[str, Sight], new: Mapping[str, tuple[str, int]]) -> None:
        """Write what is new. Where that fails, it is as if the look had not been."""
        try:
            if new:
                self._store.put_prices(new)
        except StateUnavailable as error:
            pull_metrics.count_looks(PriceResult.NOT_KEPT, len(new))
            self._seldom.warn("prices were not written: %s", error)
            return
        pull_metrics.count_looks(PriceResult.TAKEN, len(new))
        if len(self._seen) > _MOST_SEEN:
            self._seen = {}
        self._seen.update(found)


def _moment_us(reply: object) -> int:
    assert isinstance(reply, list)
    return int(reply[0]) * 1_000_000 + int(reply[1])
