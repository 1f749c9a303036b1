"""What is asked for just before orders are decided: accounts' states and prices, where providers are configured.

It only makes the live state fresher. Orders are decided on what is there when they are loaded: what did not come, or
not in time, is as old as it is, and old state or prices block by themselves.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from django.conf import settings
from prometheus_client import Gauge

from feeds import pull_metrics
from feeds.account_pull import AccountPull
from feeds.books import BOOKS, CompiledBooks
from feeds.breaker import BreakerState, CircuitBreaker
from feeds.flights import Flight, Flights, wait_for, wait_in_task
from feeds.market_prices import KnownLife, MarketPrices, SeenWritten, Writing
from feeds.price_watch import PriceWatch
from riskcore.types import Order
from state.redis_connections import RedisConnections
from state.store import Store

if TYPE_CHECKING:
    from feeds.account_monitor import AccountMonitor

logger = logging.getLogger(__name__)

# The accounts that are asked about at a time. A call costs a thread's wait and little else.
_THREADS = 16

# A batch begins no further round of accounts after so many seconds: it holds one of few threads of its door.
_LONGEST_S = 1.0

# Prices of one look; and looks at a time, which wait for no account.
_SYMBOLS_TOGETHER = 500
_PRICE_THREADS = 4

# How far apart two looks may be that tell when a price was written, in cache lives: a process that stands still for a
# moment must not lose a market's prices.
LIVES_APART = 5

# The market's Redis: looks that fail in a row before it is left alone, and for how long, in seconds.
_LOOKS_FAILED = 3
_LOOKS_PAUSE_S = 1.0


class Pull:
    """Brings what the decision on some orders needs, for threads and tasks of one process.

    Parameters
    ----------
    accounts
        Brings the state of accounts; their values are the symbols of each.
    prices
        Brings prices; None: nobody does.
    watch
        Is told which symbols are asked about; None: nobody needs to know.
    books
        The compiled books of the process, which know what is traded.
    patience_s
        How long orders wait for one round of bringing, in seconds: as many accounts at once as there are threads.
    closing
        What is to be called when it ends.
    """

    def __init__(
        self,
        accounts: Flights[tuple[str, ...]],
        prices: Flights[bool] | None,
        watch: PriceWatch | None,
        *,
        books: CompiledBooks,
        patience_s: float,
        closing: Sequence[Callable[[], object]] = (),
    ) -> None:
        self._accounts, self._prices, self._watch = accounts, prices, watch
        self._books, self._patience_s, self._closing = books, patience_s, closing

    def bring(self, orders: Sequence[Order]) -> None:
        """Bring what is not fresh of these orders' accounts and symbols, from a thread; wait for a moment at most."""
        for some in self._rounds(orders):
            wait_for(self._accounts.begin(some), self._patience_s)
        if flights := self._begin_prices(orders):
            wait_for(flights, self._patience_s)

    async def bring_in_task(self, orders: Sequence[Order]) -> None:
        """Do as `bring` does, in a task."""
        for some in self._rounds(orders):
            if flights := self._accounts.begin(some):
                await wait_in_task(flights, self._patience_s)
        if flights := self._begin_prices(orders):
            await wait_in_task(flights, self._patience_s)

    def close(self) -> None:
        """Bring nothing more; what is under way ends by itself."""
        for close in self._closing:
            close()

    def _rounds(self, orders: Iterable[Order]) -> Iterator[Sequence[str]]:
        """Yield the accounts that are not fresh, as many at a time as there are threads, until it has taken too long.

        What is not begun waits in nobody's way: other orders' accounts come in between.
        """
        stale = self._accounts.stale({order.account_id for order in orders})
        until_s = time.monotonic() + _LONGEST_S
        for first in range(0, len(stale), _THREADS):
            if first and time.monotonic() >= until_s:
                return
            yield stale[first : first + _THREADS]

    def _begin_prices(self, orders: Sequence[Order]) -> Collection[Flight]:
        if self._prices is None:
            return ()
        held: set[str] = set()
        for account_id in {order.account_id for order in orders}:
            held.update(self._accounts.value(account_id) or ())
        needed = held.union(order.symbol for order in orders)
        if self._watch is not None:
            book = self._books.last
            self._watch.ask(needed, known=held if book is None else held.union(needed & book.instruments.keys()))
        stale = self._prices.stale(needed)
        pull_metrics.price_hits.inc(len(needed) - len(stale))
        if not stale:
            return ()
        pull_metrics.price_misses.inc(len(stale))
        return self._prices.begin(stale)


# ------------------------------------------------------------------------------------- as the settings say
class _Pulls:
    """The pull of this process, made when it is first asked for."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        # A fork may have copied the lock while another thread held it, so it is made anew as well.
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._pull: Pull | None = None

    def of(self, store: Store) -> Pull:
        with self._lock:
            if self._pull is None or self._store is not store:
                if self._pull is not None:
                    self._pull.close()
                self._store, self._pull = store, _new_pull(store)
            return self._pull

    def close(self) -> None:
        if self._pull is not None:
            self._pull.close()
        self.reset()


_pulls = _Pulls()


def pull_into(store: Store) -> Pull | None:
    """Return what brings states and prices into the process's live state; None where no provider is configured."""
    return _pulls.of(store) if settings.RISK_ACCOUNT_MONITOR_URL or settings.RISK_PRICE_PROVIDER == "redis" else None


def forget_pull() -> None:
    """Make the next call of `pull_into` build it anew, in tests that change settings."""
    _pulls.close()


def _new_pull(store: Store) -> Pull:
    executor = ThreadPoolExecutor(_THREADS, "pull")
    closing: list[Callable[[], object]] = [partial(executor.shutdown, wait=False)]
    fresh_s = settings.RISK_CACHE_TTL.total_seconds()
    by_redis = settings.RISK_PRICE_PROVIDER == "redis"
    monitor = _monitor()
    if monitor is not None:
        closing.append(monitor.close)
    accounts = AccountPull(store, BOOKS, monitor, with_symbols=by_redis)
    prices = watch = None
    if by_redis:
        looking = ThreadPoolExecutor(_PRICE_THREADS, "prices")
        writing = _writing()
        prices = Flights(_prices(store, writing).bring, looking, fresh_s=fresh_s, together=_SYMBOLS_TOGETHER)
        watch = PriceWatch(prices, every_s=fresh_s, needs=writing.needs_looks)
        closing = [watch.close, partial(looking.shutdown, wait=False), *closing]
    return Pull(
        Flights(accounts.bring, executor, fresh_s=fresh_s),
        prices,
        watch,
        books=BOOKS,
        patience_s=2 * settings.RISK_ACCOUNT_MONITOR_TIMEOUT.total_seconds(),
        closing=closing,
    )


def _monitor() -> AccountMonitor | None:
    if not settings.RISK_ACCOUNT_MONITOR_URL:
        return None
    from feeds.account_monitor import AccountMonitor  # gRPC is 30 MB that nobody else needs

    return AccountMonitor(
        settings.RISK_ACCOUNT_MONITOR_URL,
        timeout_s=settings.RISK_ACCOUNT_MONITOR_TIMEOUT.total_seconds(),
        breaker=CircuitBreaker(
            failures=settings.RISK_ACCOUNT_MONITOR_FAILURES,
            pause_s=settings.RISK_ACCOUNT_MONITOR_PAUSE.total_seconds(),
            changed=partial(_show, "the Account Monitor", pull_metrics.call_breaker),
        ),
    )


def _writing() -> Writing:
    life, apart_us = settings.RISK_PRICE_KEY_TTL, _microseconds(LIVES_APART * settings.RISK_CACHE_TTL)
    return SeenWritten(apart_us) if life is None else KnownLife(_microseconds(life), apart_us)


def _prices(store: Store, writing: Writing) -> MarketPrices:
    breaker = CircuitBreaker(
        failures=_LOOKS_FAILED,
        pause_s=_LOOKS_PAUSE_S,
        changed=partial(_show, "the Redis of the market's prices", pull_metrics.price_breaker),
    )
    return MarketPrices(
        RedisConnections(settings.MARKET_REDIS_URL, timeout_s=settings.RISK_REDIS_TIMEOUT.total_seconds()),
        store,
        writing,
        tolerance_us=_microseconds(settings.RISK_CLOCK_TOLERANCE),
        breaker=breaker,
    )


def _show(whom: str, gauge: Gauge, state: BreakerState) -> None:
    gauge.set(state)
    if state is BreakerState.OPEN:
        logger.warning("%s does not answer, and is left alone for a while", whom)
    elif state is BreakerState.CLOSED:
        logger.warning("%s answers again", whom)


def _microseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


# A child has none of its parent's threads and connections.
os.register_at_fork(after_in_child=_pulls.reset)
