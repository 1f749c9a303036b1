"""Looks at the prices that other programs keep in Redis as plain numbers: `market:prices:SYMBOL`.

A number says nothing of its age, and a key may outlive its writer. So a price counts only as far as it is known when
it was written, and never as younger than it may be (decision 0011):

- where writers give their keys a life that is known here, by how much of it has run out, and nobody was seen to give a
  longer one;
- else by having been seen written: between two looks, not far apart, the number has changed or its key's end has
  moved. A first look says nothing yet.

Its age travels as the price's stamp, so that the live state counts on from there, and takes no older look over a newer
one. All moments are the market Redis' own, whose clock must agree with the live state's.
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
from riskcore.ports import Load
from state.keys import SHARED_PRICE
from state.redis_wire import Argument, Refused
from state.store import StateUnavailable, Store

logger = logging.getLogger(__name__)

# How far apart the clocks of the live state and of the market's Redis may be: ages are counted by both.
CLOCKS_APART_US = 1_000_000

# What is remembered of symbols that nobody asks about any more is given up with this many.
_MOST_SEEN = 10_000
_LONGEST_SHOWN = 40

# Redis ends keys at whole milliseconds.
_MS_US = 1000


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

    def written_since_us(self, symbol: str, now: Sight, before: Sight | None, ended_us: int) -> int:
        """Return a moment after which the price was written, 0 where that is not known or it was not written anew.

        `before` is what the look before has found, `ended_us` a moment after the look.
        """
        ...

    def needs_looks(self, symbol: str) -> bool:
        """Return whether a symbol must be looked at often, so that it is seen when its price is written."""
        ...


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

    def written_since_us(self, symbol: str, now: Sight, before: Sight | None, ended_us: int) -> int:
        """See Writing."""
        if before is None or not 0 <= now.looked_at_us - before.looked_at_us <= self._apart_us:
            return 0
        moved = 0 < before.ends_at_us < now.ends_at_us
        return now.looked_at_us - self._apart_us if moved or now.value != before.value else 0

    def needs_looks(self, symbol: str) -> bool:
        """See Writing. All do."""
        return True


class KnownLife:
    """Keys live for so long from their writing on: what is left says how long ago that was.

    In its last seconds a key with a longer life looks like one that was just written. So where a longer life was seen,
    or none that ends, nothing is believed of the symbol until it is seen written with the right one.

    Parameters
    ----------
    life_us
        The life that writers give.
    apart_us
        How far apart two looks may be between which such a writing is seen. A life that is longer by less than that
        may pass for the right one, a price for that much younger.
    """

    def __init__(self, life_us: int, apart_us: int) -> None:
        self._life_us, self._seen_written = life_us, SeenWritten(apart_us)
        # Where a longer life was seen last: the end of the key. As many at most as there are such keys.
        self._longer: dict[str, int] = {}

    def needs_looks(self, symbol: str) -> bool:
        """See Writing. Those do on which a longer life was seen, and not the right one since."""
        return symbol in self._longer

    def written_since_us(self, symbol: str, now: Sight, before: Sight | None, ended_us: int) -> int:
        """See Writing. A key that lives for longer was written by somebody who goes by another life: not known."""
        written_us = now.ends_at_us - self._life_us
        if not now.ends_at_us or written_us > ended_us:
            self._longer[symbol] = now.ends_at_us
            return 0
        if symbol in self._longer:
            if now.ends_at_us == self._longer[symbol] or not self._was_seen(symbol, written_us, now, before, ended_us):
                return 0
            del self._longer[symbol]
        return max(0, written_us)

    def _was_seen(self, symbol: str, written_us: int, now: Sight, before: Sight | None, ended_us: int) -> bool:
        """Return whether the key was written between two looks, and at the moment that the right life says."""
        if before is None or not self._seen_written.written_since_us(symbol, now, before, ended_us):
            return False
        return written_us + _MS_US > before.looked_at_us


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
        try:
            now_us = self._store.load(Load(accounts=())).now_us
        except StateUnavailable as error:
            pull_metrics.count_looks(PriceResult.NOT_KEPT, len(symbols))
            self._seldom.warn("prices are not looked at: %s", error)
            return {}
        if not self._breaker.admits():
            pull_metrics.count_looks(PriceResult.NOT_ASKED, len(symbols))
            return {}
        try:
            found, began_us, ended_us = self._look(symbols)
        except StateUnavailable as error:
            self._breaker.failed()
            pull_metrics.count_looks(PriceResult.UNAVAILABLE, len(symbols))
            hint = "; PEXPIRETIME needs Redis 7" if isinstance(error, Refused) else ""
            self._seldom.warn("prices cannot be looked at (MARKET_REDIS_URL): %s%s", error, hint)
            return {}
        self._breaker.succeeded()
        if not self._agree(began_us - now_us):
            pull_metrics.count_looks(PriceResult.CLOCKS_APART, len(symbols))
            return {}
        self._keep(found, self._new_prices(found, ended_us))
        return {symbol: sight.value is not None for symbol, sight in found.items()}

    def _agree(self, apart_us: int) -> bool:
        """Return whether the clocks are near enough. Ours is read first: no delay hides a market's that is ahead."""
        if abs(apart_us) <= CLOCKS_APART_US:
            return True
        self._seldom.warn(
            "prices are not taken: the clock of MARKET_REDIS_URL differs from that of REDIS_URL by %.1f s, and they"
            " would look younger or older than they are; set both by one time server",
            apart_us / 1e6,
        )
        return False

    def _look(self, symbols: Sequence[str]) -> tuple[dict[str, Sight], int, int]:
        """Return what is there, a moment before and one after. Raises StateUnavailable.

        A key's end is read before its number: the two are never one writing's end and the number before it.
        """
        keys = [SHARED_PRICE + symbol for symbol in symbols]
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
        return sights, looked_at_us, _moment_us(ended)

    def _new_prices(self, found: Mapping[str, Sight], ended_us: int) -> dict[str, tuple[str, int]]:
        """Return the prices that are known to be new, as the store takes them, and count all."""
        new: dict[str, tuple[str, int]] = {}
        count = dict.fromkeys(PriceResult, 0)
        for symbol, sight in found.items():
            price = self._price(symbol, sight.value)
            if price is None:
                count[PriceResult.MISSING if sight.value is None else PriceResult.MALFORMED] += 1
                continue
            since_us = self._writing.written_since_us(symbol, sight, self._seen.get(symbol), ended_us)
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
            self._seldom.warn("%s%s is %r: it %s", SHARED_PRICE, symbol, shown, wrong.message)
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
