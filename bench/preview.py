"""How long the preview of a changed limit takes: recorded decisions replayed, and accounts looked at.

python -m bench.preview DECISIONS ACCOUNTS      (on the servers that the environment names)
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

import django
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from api.ids import new_decision_id
from api.wire import read_order
from bench import world
from bench.machine import used_by
from bench.many_accounts import ManyAccounts
from riskcore.book import Account, Book, Scope
from riskcore.compiled import CompiledBook
from riskcore.engine import check_steps
from state.driver import run_sync
from state.redis_store import RedisStore

Found = TypeVar("Found")

_MEGABYTE = 1e6


class Previewed(Struct, frozen=True, kw_only=True):
    """A change, and what its preview took: so many decisions or accounts, in seconds and in CPU seconds.

    `otherwise` is how many orders are answered otherwise, or limits broken.
    """

    change: str
    count: int
    seconds: float
    cpu_s: float
    otherwise: int


class Previews(Struct, frozen=True, kw_only=True):
    """What was measured, of decisions on accounts of so many limits each."""

    limits: int
    decisions: list[Previewed]
    accounts: list[Previewed]
    rss_mb: float


def measure(store: RedisStore, decisions: int, accounts: int) -> Previews:
    """Record so many decisions and preview changes on them; then look at so many accounts."""
    book = _record(store, decisions)
    replayed = [_replay(change, book, proposed) for change, proposed in _changes(book.book).items()]
    for since, in_force in _later(book.book).items():
        replayed.append(
            _replay(f"no order flips, and since they were decided {since}", in_force, _halved(in_force.book))
        )
    rss_mb = used_by(os.getpid()).rss / _MEGABYTE
    limits = len(book.limits) + len(book.limits_of_profile("bench"))
    looked_at = list(_look_at_many(store, accounts))
    return Previews(limits=limits, decisions=replayed, accounts=looked_at, rss_mb=rss_mb)


def _record(store: RedisStore, count: int) -> CompiledBook:
    """Have so many orders of all accounts checked, and the journal drained; return the book that they went by."""
    from audit.drain import drain
    from audit.models import OrderDecision
    from feeds.books import CompiledBooks

    drain(store, batches=1_000_000)
    before, books, tag = OrderDecision.objects.count(), CompiledBooks(), uuid.uuid4().hex[:8]
    ids = world.account_ids()
    for number in range(count):
        order = world.order(f"{tag}-{number}", ids[number % len(ids)], number)
        steps = check_steps((read_order(msgspec.json.encode(order)),), new_id=new_decision_id, known=books.last)
        (answered,) = run_sync(steps, store, books)
        assert answered.approved, answered.decision
    drain(store, batches=1_000_000)
    assert OrderDecision.objects.count() - before == count, "decisions are missing"
    assert books.last is not None
    return books.last


def _changes(book: Book) -> dict[str, Book]:
    """Return proposed books by what changes in them."""
    (limit,) = (policy for policy in book.policies if policy.metric == "order_notional")
    others = tuple(policy for policy in book.policies if policy is not limit)
    one = replace(limit, id="one", scope=Scope.ACCOUNT, scope_ids=(world.account_ids()[0],), threshold=Decimal(1))
    every = replace(limit, threshold=Decimal(1))
    return {
        "no order flips": _halved(book),
        "every order flips": replace(book, policies=(*others, every)),
        "one account of a hundred": replace(book, policies=(*book.policies, one)),
    }


def _later(book: Book) -> dict[str, CompiledBook]:
    """Return books that may have come into force since orders were decided by this one, by what changed in them."""
    (limit,) = (policy for policy in book.policies if policy.metric == "order_notional")
    of_one = replace(limit, id="one", scope=Scope.ACCOUNT, scope_ids=(world.account_ids()[0],))
    of_all = replace(limit, id="all")
    return {
        f"a limit of {whose} changed": CompiledBook(
            replace(book, version=book.version + 1, policies=(*book.policies, added))
        )
        for whose, added in (("one account", of_one), ("every account", of_all))
    }


def _halved(book: Book) -> Book:
    """Return the book with each limit on an exposure half as wide, which no order reaches."""
    halved = tuple(
        replace(policy, threshold=policy.threshold / 2) if policy.metric.endswith("exposure") else policy
        for policy in book.policies
    )
    return replace(book, policies=halved)


def _replay(change: str, in_force: CompiledBook, proposed: Book) -> Previewed:
    from policies.preview.running import replay_decisions
    from policies.preview.window import Window

    def work() -> tuple[int, int]:
        orders = replay_decisions(Window(), in_force, CompiledBook(proposed), lambda _: None)
        assert not orders.apart, orders.apart
        return orders.replayed, orders.blocked + orders.approved + orders.otherwise

    return _timed(change, work)


def _look_at_many(store: RedisStore, count: int) -> list[Previewed]:
    """Look at accounts of twenty positions: a limit on every account, and one on one account, becomes tighter."""
    from feeds.books import BOOKS, in_force
    from policies.preview.standing import look_at_accounts

    many = ManyAccounts(store, count)
    many.price()
    many.report()
    control = store.control()
    assert control is not None
    book = in_force(control.book_version, store, BOOKS)
    first: Account = book.book.accounts[0]
    (limit,) = (policy for policy in book.book.policies if policy.metric == "leverage")
    narrow = replace(limit, id="one", scope=Scope.ACCOUNT, scope_ids=(first.id,), threshold=Decimal("0.01"))
    tight = replace(limit, threshold=Decimal("0.01"))
    others = tuple(policy for policy in book.book.policies if policy is not limit)
    changes = {
        "leverage of every account, and of the firm": replace(book.book, policies=(*others, tight)),
        "leverage of one account": replace(book.book, policies=(*book.book.policies, narrow)),
    }

    def look(proposed: Book) -> tuple[int, int]:
        accounts = look_at_accounts(store, book, CompiledBook(proposed), lambda _: None)
        return accounts.looked_at, accounts.broken

    return [_timed(change, lambda book=proposed: look(book)) for change, proposed in changes.items()]  # type: ignore[misc]


def _timed(change: str, work: Callable[[], tuple[int, int]]) -> Previewed:
    started, cpu = time.perf_counter(), time.process_time()
    count, otherwise = work()
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    return Previewed(change=change, count=count, seconds=seconds, cpu_s=cpu_s, otherwise=otherwise)


def main() -> None:
    """Measure what the arguments say, and write it as JSON."""
    django.setup()
    decisions, accounts = map(int, sys.argv[1:3])
    store = RedisStore(os.environ["REDIS_URL"], timeout_s=5.0)
    sys.stdout.write(msgspec.json.encode(measure(store, decisions, accounts)).decode())


if __name__ == "__main__":
    main()
