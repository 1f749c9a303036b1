"""The stores under contract, and short ways to write what they are asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from decimal import Decimal
from itertools import count
from typing import Any, TypeVar

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
)
from riskcore.types import Reservation, Side
from state.redis_store import AsyncRedisStore, RedisStore
from state.store import Store
from tests.support.patience import REDIS_S

T = TypeVar("T")

FAR_US = 4_000_000_000_000_000  # a moment after the last run of these tests
PAST_US = 1_000_000


class AsyncDoor(RedisStore):
    """A RedisStore whose checks go through an AsyncRedisStore, on an event loop in a thread of its own."""

    def __init__(self, url: str, *, lanes: int) -> None:
        super().__init__(url, lanes=lanes, timeout_s=REDIS_S)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._door = AsyncRedisStore(url, lanes=lanes, timeout_s=REDIS_S)

    def load(self, load: Load) -> Loaded:
        return self._wait(self._door.load(load))

    def commit(self, commit: Commit) -> Committed | Loaded:
        return self._wait(self._door.commit(commit))

    def fetch_book(self, version: int) -> bytes | None:
        return self._wait(self._door.fetch_book(version))

    def fetch_keys(self) -> bytes | None:
        return self._wait(self._door.fetch_keys())

    def ping(self) -> None:
        self._wait(self._door.ping())

    def close(self) -> None:
        super().close()
        self._wait(self._door.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, answer: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(answer, self._loop).result()


def accounts(store: Store, number: int) -> list[str]:
    """Return the ids of some accounts of one lane."""
    names = (f"account-{index}" for index in count())
    first = next(names)
    lane = store.lane_of(first)
    found = [first]
    while len(found) < number:
        name = next(names)
        if store.lane_of(name) == lane:
            found.append(name)
    return found


def query(account_id: str, **wanted: Any) -> AccountQuery:
    return AccountQuery(account_id=account_id, **wanted)


def view(store: Store, account_id: str, **wanted: Any) -> AccountView:
    """Return what the store has of one account."""
    (found,) = store.load(Load(accounts=(query(account_id, **wanted),))).accounts
    return found


def change(account_id: str, expected_version: int = 0, **what: Any) -> AccountChange:
    return AccountChange(account_id=account_id, expected_version=expected_version, **what)


def commit(
    store: Store, *changes: AccountChange, expect: Control | None = None, journal: tuple[bytes, ...] = ()
) -> Committed | Loaded:
    """Commit some changes; the accounts changed are what a conflict answers with."""
    reload = Load(accounts=tuple(query(one.account_id) for one in changes))
    return store.commit(Commit(expect=expect, changes=changes, journal=journal, reload=reload))


def restored(store: Store, **what: Any) -> Control:
    """Give the store its memory and return its control."""
    store.restore(**{"book_version": 1, "content": b'{"book":1}', "stops": (), "keys": b"{}", **what})
    control = store.control()
    assert control is not None
    return control


def reservation(order_id: str, account_id: str = "account-0", **what: Any) -> Reservation:
    fields: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "quantity": Decimal("2.50"),
        "price": Decimal("100.00"),
        "valued_at": Decimal("100.00"),
        "margin_rate": Decimal("0.1"),
        "decision_id": f"decision-of-{order_id}",
        "created_at_us": PAST_US,
        "expires_at_us": FAR_US,
    }
    return Reservation(order_id=order_id, account_id=account_id, **{**fields, **what})


ANSWER = Answer("f1", b'{"decision":"allow"}')
