"""Many at once on one account: whoever decided on what somebody else has changed since must try again."""

from __future__ import annotations

import asyncio
import threading

import pytest

from riskcore.ports import Answer, Commit, Committed, Load, Loaded
from state.redis_store import AsyncRedisStore
from tests.contract.subjects import ANSWER, change, commit, query, reservation, restored, view
from tests.support.patience import REDIS_S

ALPHA = "account-0"
WORKERS = 8
ADDITIONS = 25


def added_one(loaded: Loaded, load: Load) -> Commit:
    """Return the commit that counts one more in the account's ledger."""
    (account,) = loaded.accounts
    ledger = b"%d" % (int(account.ledger or 0) + 1)
    return Commit(
        expect=loaded.control,
        changes=(change(ALPHA, account.version, ledger=ledger),),
        journal=(ledger,),
        reload=load,
    )


def test_no_addition_of_many_threads_is_lost(store):
    restored(store)
    load = Load(accounts=(query(ALPHA),))

    def add() -> None:
        for _ in range(ADDITIONS):
            reply = store.load(load)
            while isinstance(reply, Loaded):
                reply = store.commit(added_one(reply, load))

    threads = [threading.Thread(target=add) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = WORKERS * ADDITIONS
    assert (view(store, ALPHA).ledger, view(store, ALPHA).version) == (b"%d" % total, total)
    entries = store.read_journal(store.lane_of(ALPHA), "0", total + 1)
    assert [int(entry) for _, entry in entries] == list(range(1, total + 1))


@pytest.mark.parametrize("lanes", [1, 3])
async def test_no_addition_of_many_tasks_is_lost(clean_redis, lanes):
    store = AsyncRedisStore(clean_redis, lanes=lanes, timeout_s=REDIS_S)
    load = Load(accounts=(query(ALPHA),))

    async def add() -> None:
        for _ in range(ADDITIONS):
            reply: Loaded | Committed = await store.load(load)
            while isinstance(reply, Loaded):
                reply = await store.commit(added_one(reply, load))

    await asyncio.gather(*(add() for _ in range(WORKERS)))
    (account,) = (await store.load(load)).accounts
    assert account.ledger == b"%d" % (WORKERS * ADDITIONS)
    await store.close()


def test_one_order_sent_many_times_at_once_has_one_answer(store):
    restored(store)
    load = Load(accounts=(query(ALPHA, order_ids=("o1",)),))
    written = []
    start = threading.Barrier(WORKERS)

    def send(number: int) -> None:
        start.wait()
        what = change(ALPHA, answers={"o1": Answer("f", b"%d" % number)})
        if store.commit(Commit(expect=None, changes=(what,), journal=(), reload=load)) == Committed():
            written.append(number)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (number,) = written
    assert view(store, ALPHA, order_ids=("o1",)).answers["o1"].decision == b"%d" % number


def test_a_reservation_is_removed_by_one_of_many(store):
    held = reservation("o1")
    commit(store, change(ALPHA, add=(held,), answers={"o1": ANSWER}))
    replies = []
    start = threading.Barrier(WORKERS)

    def remove() -> None:
        start.wait()
        replies.append(commit(store, change(ALPHA, remove=(held,))))

    threads = [threading.Thread(target=remove) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert replies.count(Committed()) == 1
    assert len(replies) == WORKERS
