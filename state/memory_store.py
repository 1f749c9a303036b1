"""The live state in the memory of one process: embedded use, and tests that want no server."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from riskcore.ports import (
    AccountQuery,
    AccountView,
    Commit,
    Committed,
    Control,
    Load,
    Loaded,
    Signal,
    Stop,
)
from riskcore.types import Price, Reservation, RiskLevel
from state.changes import Changed
from state.keys import BOOKS_KEPT, own_member
from state.memory_account import MemoryAccount
from state.memory_bars import MemoryBars
from state.memory_keeping import Journal, MemoryJournal, NoStopKeeper, StopKeeper
from state.memory_leases import MemoryLeases
from state.requests import exact_price, lane_of_commit, lane_of_load
from state.store import ANSWER_LIFE_S, StopsInForce, StopsMoved

_COMMITTED = Committed()


def wall_clock_us() -> int:
    """Return the machine's clock in microseconds since the epoch."""
    return time.time_ns() // 1000


class MemoryStore:
    """The live state in this process, for all its threads. See state.store.Store; there is one lane.

    Parameters
    ----------
    clock
        Returns the time in microseconds since the epoch.
    journal
        Where the journal is kept; in memory if not said.
    keeper
        Where the stops are kept; in memory if not said.
    """

    lanes = 1

    def __init__(
        self,
        clock: Callable[[], int] = wall_clock_us,
        journal: Journal | None = None,
        keeper: StopKeeper | None = None,
    ) -> None:
        self._clock = clock
        self._keeper = NoStopKeeper() if keeper is None else keeper
        self._journal = MemoryJournal() if journal is None else journal
        self._lock = threading.Lock()
        self._handing_out = threading.Lock()  # taken before the other one
        self._accounts: dict[str, MemoryAccount] = {}
        self._prices: dict[str, Price] = {}
        self._bars = MemoryBars(self._lock)
        self._books: dict[int, bytes] = {}
        self._keys: bytes | None = None
        self._generation = ""
        self._epoch = 0
        self._book_version = 0
        self._stops: tuple[Stop, ...] = ()
        self._signal: Signal | None = None
        self._signal_token = 0
        self._firm_parts: dict[str, tuple[int, int, bytes]] = {}
        self._leases = MemoryLeases(clock)
        self._oms_leases: dict[str, bytes] = {}
        self._notes: dict[str, bytes] = {}
        self._kept_is_known = False
        # Answers, tails and fills: until when each is kept, where and under which name, the oldest first.
        self._remembered: deque[tuple[int, dict[str, Any], str]] = deque()

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
            self._forget()
            if not self._accepts(commit):
                return self._load(commit.reload)
            if commit.journal:
                self._journal.append(commit.journal)
            until_us = self._clock() + ANSWER_LIFE_S * 1_000_000
            for change in commit.changes:
                account = self._account(change.account_id)
                account.apply(change)
                for kept, names in (
                    (account.answers, change.answers),
                    (account.tails, change.tails),
                    (account.fills, change.fills),
                ):
                    self._remembered.extend((until_us, kept, name) for name in names)
            return _COMMITTED

    def control(self) -> Control | None:
        with self._lock:
            return self._control()

    def stops(self) -> tuple[int, tuple[Stop, ...]]:
        with self._lock:
            self._recall()
            return self._epoch, self._stops

    def set_stops(
        self, stops: Sequence[Stop], *, expected_epoch: int | None = None, notes: Mapping[str, bytes] | None = None
    ) -> int:
        with self._lock:
            self._recall()
            if expected_epoch is not None and expected_epoch != self._epoch:
                raise StopsMoved(f"the epoch is {self._epoch}, not {expected_epoch}")
            self._put_stops(tuple(stops), notes or {})
            return self._epoch

    def _put_stops(self, stops: tuple[Stop, ...], notes: Mapping[str, bytes]) -> None:
        self._epoch = max(self._epoch + 1, self._clock())
        self._stops = stops
        self._notes.update(notes)
        self._keeper.save(self._stops, self._notes)

    def raise_stop(
        self, stop: Stop, note: bytes, *, unless: Sequence[Stop] = (), ignoring: Sequence[str] = ()
    ) -> StopsInForce:
        with self._lock:
            self._recall()
            enough = {replace(each, id="") for each in unless}
            same = (each for each in self._stops if replace(each, id="") in enough and each.id not in ignoring)
            if not any(each.id == stop.id for each in self._stops) and next(same, None) is None:
                self._put_stops((*self._stops, stop), {stop.id: note})
            return StopsInForce(self._stops, self._clock())

    def stop_notes(self, *names: str) -> dict[str, bytes]:
        with self._lock:
            self._recall()
            return {name: note for name, note in self._notes.items() if not names or name in names}

    def put_stop_notes(self, notes: Mapping[str, bytes]) -> None:
        with self._lock:
            self._recall()
            self._notes.update(notes)
            self._keeper.save(self._stops, self._notes)

    def drop_stop_notes(self, *names: str) -> None:
        with self._lock:
            self._recall()
            dropped = [self._notes.pop(name) for name in names if name in self._notes]
            if dropped:
                self._keeper.save(self._stops, self._notes)

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
            self._recall()
            self._keep_book(book_version, content)
            self._keys = keys
            self._stops = tuple({stop.id: stop for stop in (*stops, *self._stops)}.values())
            self._keeper.save(self._stops, self._notes)
            self._epoch = max(self._epoch + 1, self._clock())
            self._book_version = book_version if self._generation else max(self._book_version, book_version)
            self._generation = uuid.uuid4().hex
            return self._generation

    def put_signal(self, risk_level: RiskLevel, *, action_required: bool, token: int) -> bool:
        with self._lock:
            if token < self._signal_token:
                return False
            self._signal_token = token
            self._signal = Signal(risk_level, action_required, self._clock())
            return True

    def put_firm_part(self, name: str, content: bytes, *, token: int) -> bool:
        with self._lock:
            before, _at_us, _content = self._firm_parts.get(name, (0, 0, b""))
            if token < before:
                return False
            self._firm_parts[name] = token, self._clock(), content
            return True

    def firm_parts(self, *names: str) -> dict[str, tuple[int, bytes]]:
        with self._lock:
            return {name: kept[1:] for name, kept in self._firm_parts.items() if not names or name in names}

    def hold_lease(self, name: str, holder: str, life_us: int) -> int | None:
        with self._lock:
            return self._leases.hold(name, holder, life_us)

    def oms_leases(self, *names: str) -> dict[str, bytes]:
        with self._lock:
            return {name: each for name, each in self._oms_leases.items() if not names or name in names}

    def swap_oms_lease(self, name: str, expected: bytes | None, content: bytes | None) -> bool:
        with self._lock:
            if self._oms_leases.get(name) != expected:
                return False
            if content is None:
                self._oms_leases.pop(name, None)
            else:
                self._oms_leases[name] = content
            return True

    def put_prices(self, prices: Mapping[str, tuple[str, int]]) -> int:
        exact = {symbol: (exact_price(text, sent), sent) for symbol, (text, sent) in prices.items()}
        written = 0
        with self._lock:
            now_us = self._clock()
            for symbol, (price, sent_at_us) in exact.items():
                before = self._prices.get(symbol)
                if before is None or not sent_at_us or sent_at_us >= before.sent_at_us:
                    self._prices[symbol] = Price(price, now_us, sent_at_us)
                    self._bars.put(symbol, price, now_us)
                    written += 1
        return written

    def prices(self, symbols: Iterable[str]) -> dict[str, Price]:
        with self._lock:
            return self._known_prices(symbols)

    def all_prices(self) -> dict[str, Price]:
        with self._lock:
            return dict(self._prices)

    @property
    def bars(self) -> MemoryBars:
        return self._bars

    def account_ids(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(sorted(account_id for account_id, one in self._accounts.items() if one.version))

    def reservations(self, account_id: str) -> tuple[Reservation, ...]:
        with self._lock:
            held = self._accounts.get(account_id, _NO_ACCOUNT).reservations.values()
            return tuple(sorted(held, key=lambda one: (one.created_at_us, one.order_id)))

    def changed(self, generation: str, known: Mapping[str, str]) -> Iterator[Changed]:
        with self._lock:
            now_us, of = self._clock(), self._generation
            found = [self._accounts.get(name, _NO_ACCOUNT).record(name, now_us) for name in known]
        same_life = bool(of) and generation == of
        records = tuple(one for one in found if not same_life or one.edition != known[one.account_id])
        yield Changed(now_us=now_us, generation=of, records=records)

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
        with self._lock:
            len(self._journal)  # memory is always there, but nothing is approved without a journal

    def warnings(self) -> list[str]:
        return []

    def close(self) -> None:
        with self._lock:
            self._journal.close()
            self._keeper.close()

    def _account(self, account_id: str) -> MemoryAccount:
        account = self._accounts.get(account_id)
        if account is None:
            account = self._accounts[account_id] = MemoryAccount()
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
        self._forget()
        now_us = self._clock()
        return Loaded(
            now_us=now_us,
            control=self._control(),
            accounts=tuple(self._view(query, now_us) for query in load.accounts),
            signal=self._signal,
        )

    def _view(self, query: AccountQuery, now_us: int) -> AccountView:
        account = self._accounts.get(query.account_id, _NO_ACCOUNT)
        return account.view(query, self._known_prices((*query.symbols, *account.symbols)), now_us)

    def _known_prices(self, symbols: Iterable[str]) -> dict[str, Price]:
        return {symbol: self._prices[symbol] for symbol in symbols if symbol in self._prices}

    def _recall(self) -> None:
        """Take over the stops of the process before this one, once; a control is never written before."""
        if self._kept_is_known:
            return
        self._stops, self._notes = self._keeper.load()
        if self._stops:
            self._epoch = max(self._epoch + 1, self._clock())
        self._kept_is_known = True

    def _keep_book(self, version: int, content: bytes) -> None:
        self._books[version] = content
        for old in [known for known in self._books if known <= version - BOOKS_KEPT]:
            del self._books[old]

    def _forget(self) -> None:
        now_us = self._clock()
        while self._remembered and self._remembered[0][0] <= now_us:
            _, kept, name = self._remembered.popleft()
            kept.pop(name, None)


_NO_ACCOUNT = MemoryAccount()
