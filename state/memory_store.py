"""The live state in the memory of one process: embedded use, and tests that want no server."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from riskcore.ports import (
    AccountChange,
    AccountQuery,
    AccountView,
    Answer,
    Commit,
    Committed,
    Control,
    Load,
    Loaded,
    Stop,
)
from riskcore.types import Price, Reservation, Side
from state.keys import BOOKS_KEPT, own_member, own_suffix, plain_text
from state.requests import exact_price, lane_of_commit, lane_of_load
from state.store import ANSWER_LIFE_S, EXPIRED_LIMIT, LOST_LEDGER, StopsMoved

_COMMITTED = Committed()


def wall_clock_us() -> int:
    """Return the machine's clock in microseconds since the epoch."""
    return time.time_ns() // 1000


class Journal(Protocol):
    """Where a MemoryStore keeps its journal: JournalFile, or memory."""

    @property
    def generation(self) -> str: ...

    def append(self, entries: Sequence[bytes]) -> None: ...

    def read(self, after: int, count: int) -> list[tuple[int, bytes]]: ...

    def begin_sync(self) -> Callable[[], None]: ...

    def trim(self, through: int) -> None: ...

    def __len__(self) -> int: ...

    def close(self) -> None: ...


class MemoryJournal:
    """A journal that ends with its process."""

    def __init__(self) -> None:
        self.generation = uuid.uuid4().hex
        self._first_id = 1
        self._entries: list[bytes] = []

    def append(self, entries: Sequence[bytes]) -> None:
        self._entries += entries

    def read(self, after: int, count: int) -> list[tuple[int, bytes]]:
        start = max(after + 1 - self._first_id, 0)
        return list(enumerate(self._entries[start : start + count], self._first_id + start))

    def begin_sync(self) -> Callable[[], None]:
        return _nothing

    def trim(self, through: int) -> None:
        done = min(max(through + 1 - self._first_id, 0), len(self._entries))
        del self._entries[:done]
        self._first_id += done

    def __len__(self) -> int:
        return len(self._entries)

    def close(self) -> None:
        """Nothing is held."""


def _nothing() -> None:
    """Memory has no disk to wait for."""


class _Account:
    """What is kept of one account."""

    __slots__ = ("answers", "ledger", "open", "reservations", "state", "symbols", "version")

    def __init__(self) -> None:
        self.version = 0
        self.state: bytes | None = None
        self.symbols: tuple[str, ...] = ()
        self.ledger: bytes | None = None
        self.answers: dict[str, Answer] = {}
        self.reservations: dict[str, Reservation] = {}
        self.open: dict[str, dict[str, Reservation]] = {}  # the same by side and position key

    def accepts(self, change: AccountChange) -> bool:
        """Return whether nothing has moved that a change was decided on."""
        added = {one.order_id for one in change.add} - {one.order_id for one in change.remove}
        return (
            self.version == change.expected_version
            and all(self._holds(one) for one in change.remove)
            and added.isdisjoint(self.reservations)
            and self.answers.keys().isdisjoint(change.answers)
        )

    def lost_ledger(self) -> bool:
        return self.ledger is None and bool(self.reservations)

    def _holds(self, reservation: Reservation) -> bool:
        held = self.reservations.get(reservation.order_id)
        return held is not None and _identity(held) == _identity(reservation)

    def apply(self, change: AccountChange) -> None:
        if change.state is not None:
            self.state, self.symbols = change.state, change.symbols
        else:
            self.symbols = tuple(dict.fromkeys((*self.symbols, *change.symbols)))
        if change.ledger is not None:
            self.ledger = change.ledger
        if change.state is not None or change.ledger is not None:
            self.version += 1
        for one in change.remove:
            self.reservations.pop(one.order_id, None)
            self.open[own_suffix(one)].pop(one.order_id, None)
        for one in change.add:
            self.reservations[one.order_id] = one
            self.open.setdefault(own_suffix(one), {})[one.order_id] = one
        self.answers.update(change.answers)

    def best_prices(self, side: Side, keys: Iterable[str], now_us: int) -> dict[str, str]:
        """Return by position key the price of the best open order that is alive."""
        best = max if side is Side.BUY else min
        found = {}
        for key in keys:
            orders = self.open.get(f"{side[0]}:{key}", {}).values()
            if alive := [one.price for one in orders if one.expires_at_us > now_us]:
                found[key] = plain_text(best(alive))
        return found

    def expired(self, now_us: int) -> tuple[Reservation, ...]:
        over = [one for one in self.reservations.values() if one.expires_at_us <= now_us]
        return tuple(sorted(over, key=lambda one: (one.expires_at_us, one.order_id))[:EXPIRED_LIMIT])


def _identity(reservation: Reservation) -> tuple[str, str]:
    return own_suffix(reservation), own_member(reservation)


class MemoryStore:
    """The live state in this process, for all its threads. See state.store.Store; there is one lane.

    Parameters
    ----------
    clock
        Returns the time in microseconds since the epoch.
    journal
        Where the journal is kept; in memory if not said.
    """

    lanes = 1

    def __init__(self, clock: Callable[[], int] = wall_clock_us, journal: Journal | None = None) -> None:
        self._clock = clock
        self._journal = MemoryJournal() if journal is None else journal
        self._lock = threading.Lock()
        self._handing_out = threading.Lock()  # taken before the other one
        self._accounts: dict[str, _Account] = {}
        self._prices: dict[str, Price] = {}
        self._books: dict[int, bytes] = {}
        self._keys: bytes | None = None
        self._generation = ""
        self._epoch = 0
        self._book_version = 0
        self._stops: tuple[Stop, ...] = ()
        self._answered: deque[tuple[int, str, str]] = deque()  # until when, account and order, oldest first

    def lane_of(self, account_id: str) -> int:
        return 0

    def load(self, load: Load) -> Loaded:
        lane_of_load(load, self.lanes)
        with self._lock:
            return self._load(load)

    def commit(self, commit: Commit) -> Committed | Loaded:
        lane_of_commit(commit, self.lanes)
        for change in commit.changes:
            for one in change.add:
                own_member(one)  # raises ValueError for what Redis could not keep either
        with self._lock:
            self._forget_answers()
            if not self._accepts(commit):
                return self._load(commit.reload)
            if commit.journal:
                self._journal.append(commit.journal)
            until_us = self._clock() + ANSWER_LIFE_S * 1_000_000
            for change in commit.changes:
                self._account(change.account_id).apply(change)
                self._answered.extend((until_us, change.account_id, order_id) for order_id in change.answers)
            return _COMMITTED

    def control(self) -> Control | None:
        with self._lock:
            return self._control()

    def stops(self) -> tuple[int, tuple[Stop, ...]]:
        with self._lock:
            return self._epoch, self._stops

    def set_stops(self, stops: Sequence[Stop], *, expected_epoch: int | None = None) -> int:
        with self._lock:
            if expected_epoch is not None and expected_epoch != self._epoch:
                raise StopsMoved(f"the epoch is {self._epoch}, not {expected_epoch}")
            self._epoch = max(self._epoch + 1, self._clock())
            self._stops = tuple(stops)
            return self._epoch

    def publish_book(self, version: int, content: bytes) -> int:
        with self._lock:
            self._keep_book(version, content)
            self._book_version = max(self._book_version, version)
            return self._book_version

    def fetch_book(self, version: int) -> bytes | None:
        with self._lock:
            return self._books.get(version)

    def restore(self, *, book_version: int, content: bytes, stops: Sequence[Stop], keys: bytes) -> str:
        with self._lock:
            self._keep_book(book_version, content)
            self._keys = keys
            self._stops = tuple({stop.id: stop for stop in (*stops, *self._stops)}.values())
            self._epoch = max(self._epoch + 1, self._clock())
            self._book_version = book_version if self._generation else max(self._book_version, book_version)
            self._generation = uuid.uuid4().hex
            return self._generation

    def put_prices(self, prices: Mapping[str, tuple[str, int]]) -> int:
        exact = {symbol: (exact_price(text, sent), sent) for symbol, (text, sent) in prices.items()}
        written = 0
        with self._lock:
            now_us = self._clock()
            for symbol, (price, sent_at_us) in exact.items():
                before = self._prices.get(symbol)
                if before is None or not sent_at_us or sent_at_us >= before.sent_at_us:
                    self._prices[symbol] = Price(price, now_us, sent_at_us)
                    written += 1
        return written

    def prices(self, symbols: Iterable[str]) -> dict[str, Price]:
        with self._lock:
            return self._known_prices(symbols)

    def account_ids(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(sorted(account_id for account_id, one in self._accounts.items() if one.version))

    def reservations(self, account_id: str) -> tuple[Reservation, ...]:
        with self._lock:
            held = self._accounts.get(account_id, _NO_ACCOUNT).reservations.values()
            return tuple(sorted(held, key=lambda one: (one.created_at_us, one.order_id)))

    def put_keys(self, content: bytes) -> None:
        with self._lock:
            self._keys = content

    def fetch_keys(self) -> bytes | None:
        with self._lock:
            return self._keys

    def read_journal(self, lane: int, after: str, count: int) -> list[tuple[str, bytes]]:
        # What is handed out may be in the database next: by then no power cut may take it from here. Only other
        # readers wait for the disk, checks do not.
        with self._handing_out:
            with self._lock:
                entries = self._journal.read(int(after), count)
                sync = self._journal.begin_sync()
            sync()
        return [(str(entry_id), entry) for entry_id, entry in entries]

    def trim_journal(self, lane: int, through: str) -> None:
        with self._lock:
            self._journal.trim(int(through))

    def journal_lanes(self) -> int:
        return self.lanes

    def claim_lanes(self) -> str:
        return ""  # there was never another number of lanes

    def journal_length(self, lane: int) -> int:
        with self._lock:
            return len(self._journal)

    def journal_generation(self, lane: int) -> str:
        with self._lock:
            return self._journal.generation

    def ping(self) -> None:
        """Memory can always be reached."""

    def warnings(self) -> list[str]:
        return []

    def close(self) -> None:
        with self._lock:
            self._journal.close()

    def _account(self, account_id: str) -> _Account:
        account = self._accounts.get(account_id)
        if account is None:
            account = self._accounts[account_id] = _Account()
        return account

    def _accepts(self, commit: Commit) -> bool:
        expect, now = commit.expect, self._control()
        if expect is not None and (
            now is None
            or expect.generation != now.generation
            or expect.epoch != now.epoch
            or expect.book_version != now.book_version
        ):
            return False
        for one in commit.changes:
            account = self._accounts.get(one.account_id, _NO_ACCOUNT)
            first_over_reservations = one.ledger is not None and account.lost_ledger()
            if (expect is not None and first_over_reservations) or not account.accepts(one):
                return False
        return True

    def _control(self) -> Control | None:
        if not self._generation:
            return None
        return Control(
            generation=self._generation,
            epoch=self._epoch,
            book_version=self._book_version,
            stops=self._stops,
        )

    def _load(self, load: Load) -> Loaded:
        self._forget_answers()
        now_us = self._clock()
        return Loaded(
            now_us=now_us,
            control=self._control(),
            accounts=tuple(self._view(query, now_us) for query in load.accounts),
        )

    def _view(self, query: AccountQuery, now_us: int) -> AccountView:
        account = self._accounts.get(query.account_id, _NO_ACCOUNT)
        answers, held = account.answers, account.reservations
        return AccountView(
            account_id=query.account_id,
            version=account.version,
            state=account.state,
            ledger=LOST_LEDGER if account.lost_ledger() else account.ledger,
            prices=self._known_prices((*query.symbols, *account.symbols)),
            answers={order_id: answers[order_id] for order_id in query.order_ids if order_id in answers},
            expired=account.expired(now_us),
            own_bids=account.best_prices(Side.BUY, query.keys, now_us),
            own_asks=account.best_prices(Side.SELL, query.keys, now_us),
            reservations={order_id: held[order_id] for order_id in query.reservations if order_id in held},
        )

    def _known_prices(self, symbols: Iterable[str]) -> dict[str, Price]:
        return {symbol: self._prices[symbol] for symbol in symbols if symbol in self._prices}

    def _keep_book(self, version: int, content: bytes) -> None:
        self._books[version] = content
        for old in [known for known in self._books if known <= version - BOOKS_KEPT]:
            del self._books[old]

    def _forget_answers(self) -> None:
        now_us = self._clock()
        while self._answered and self._answered[0][0] <= now_us:
            _, account_id, order_id = self._answered.popleft()
            self._accounts[account_id].answers.pop(order_id, None)


_NO_ACCOUNT = _Account()
