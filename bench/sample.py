"""One real check, taken apart: what went to the store and came back, and what was made of it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import msgspec
import redis

from api.ids import new_decision_id
from api.wire import read_order
from bench import world
from feeds.books import CompiledBooks
from riskcore.batch import Answered
from riskcore.compiled import CompiledBook
from riskcore.engine import check_steps
from riskcore.journal import DecisionEntry, Inputs, decode_entry
from riskcore.ports import Commit, Committed, Load, Loaded
from riskcore.types import Order
from state import keys
from state.driver import run_sync
from state.redis_codec import encode_load
from state.redis_scripts import LOAD
from state.redis_store import RedisStore

# So many orders come before it: then its ledger has open orders on both sides of every symbol, as under load.
_ORDERS_BEFORE = 4 * len(world.SYMBOLS)


@dataclass(frozen=True)
class Sample:
    """One check. `raw` is the store's reply to `load` as hiredis hands it over."""

    body: bytes
    order: Order
    load: Load
    raw: Any
    loaded: Loaded
    inputs: Inputs
    commit: Commit
    answered: Answered
    book: CompiledBook


class _Recorder:
    """A store in the way of `run_sync` that remembers the last exchange."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self.load_asked: Load | None = None
        self.loaded: Loaded | None = None
        self.commit_asked: Commit | None = None

    def load(self, load: Load) -> Loaded:
        self.load_asked, self.loaded = load, self._store.load(load)
        return self.loaded

    def commit(self, commit: Commit) -> Committed | Loaded:
        self.commit_asked = commit
        return self._store.commit(commit)

    def fetch_book(self, version: int) -> bytes | None:
        return self._store.fetch_book(version)


def take_sample(redis_url: str, *, closing: bool = False) -> Sample:
    """Check some orders of one account for real, and return the last check taken apart.

    That order adds to a position; `closing`: it is against one. Raises AssertionError where it is not approved.
    """
    recorder, books = _Recorder(RedisStore(redis_url, timeout_s=5.0)), CompiledBooks()
    account_id = world.account_ids()[0]
    tag = uuid.uuid4().hex[:8]
    for number in range(_ORDERS_BEFORE):
        _check(recorder, books, world.order(f"{tag}-{number}", account_id, number))
    # The world's first symbol is held long; its orders are a buy and a sell in turn.
    order = world.order(f"{tag}-last", account_id, _ORDERS_BEFORE + closing)
    body = msgspec.json.encode(order)
    answered = _check(recorder, books, order)
    assert recorder.load_asked and recorder.loaded and recorder.commit_asked and books.last
    entry = decode_entry(recorder.commit_asked.journal[0])
    assert isinstance(entry, DecisionEntry)
    return Sample(
        body=body,
        order=answered.order,
        load=recorder.load_asked,
        raw=_raw_reply(redis_url, recorder.load_asked),
        loaded=recorder.loaded,
        inputs=entry.inputs,
        commit=recorder.commit_asked,
        answered=answered,
        book=books.last,
    )


def _check(recorder: _Recorder, books: CompiledBooks, order: dict[str, Any]) -> Answered:
    steps = check_steps((read_order(msgspec.json.encode(order)),), new_id=new_decision_id, known=books.last)
    (answered,) = run_sync(steps, recorder, books)  # type: ignore[arg-type] # as much of a Store as is used
    assert answered.approved, answered.decision
    return answered


def _raw_reply(redis_url: str, load: Load) -> Any:
    with redis.Redis.from_url(redis_url) as client:
        return client.evalsha(LOAD.digest, 1, keys.prefix(0), encode_load(load))
