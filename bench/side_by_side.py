"""Checks by a book of many limits beside checks by a small one: in turn, so that a slow minute hits both."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from decimal import Decimal
from statistics import median

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from api.ids import new_decision_id
from api.wire import read_order
from bench import world
from feeds.books import CompiledBooks
from riskcore.book import Account, Book, Operator, Policy, PolicyType, Profile, decode_book, encode_book
from riskcore.engine import check_steps
from riskcore.report import report_steps
from state.driver import run_sync
from state.redis_store import RedisStore

_ROUNDS = 21
_CHECKS = 200


class Checked(Struct, frozen=True, kw_only=True):
    """A check by a book of so many limits and accounts, over the store: the middle of all rounds' medians."""

    limits: int
    accounts: int
    middle_us: float
    cpu_us: float


class _Side:
    """A live state of its own, with a book in which the bench's accounts and its fifteen limits are."""

    def __init__(self, url: str, book: Book) -> None:
        self.book = book
        self._store, self._books = RedisStore(url, timeout_s=5.0), CompiledBooks()
        self._store.restore(book_version=book.version, content=encode_book(book), stops=(), keys=b"{}")
        self._store.put_prices({symbol: (str(world.MARK), 0) for symbol in world.SYMBOLS})
        for account_id in world.account_ids():
            run_sync(report_steps(world.report(account_id), book.parameters), self._store, self._books)
        self.middles: list[float] = []
        self.cpu_s = 0.0

    def check(self) -> None:
        """Check the orders of a round, and note how long one took."""
        ids, tag, took = world.account_ids(), uuid.uuid4().hex[:8], []
        cpu = time.process_time()
        for number in range(_CHECKS):
            order = read_order(msgspec.json.encode(world.order(f"{tag}-{number}", ids[number % len(ids)], number)))
            started = time.perf_counter()
            steps = check_steps((order,), new_id=new_decision_id, known=self._books.last)
            (answered,) = run_sync(steps, self._store, self._books)
            took.append(time.perf_counter() - started)
            assert answered.approved, answered.decision
        self.cpu_s += time.process_time() - cpu
        self.middles.append(median(took))

    def found(self) -> Checked:
        """Return what all rounds say."""
        return Checked(
            limits=len(self.book.policies),
            accounts=len(self.book.accounts),
            middle_us=median(self.middles) * 1e6,
            cpu_us=self.cpu_s / (_ROUNDS * _CHECKS) * 1e6,
        )


def check_side_by_side(content: bytes, redis_url: str) -> list[Checked]:
    """Check the same orders by a small book, and by that book with all accounts and limits of another one."""
    many = decode_book(content)
    narrow = tuple(policy for policy in many.policies if policy.scope_ids)
    # On an exchange: limits of every exchange hold for orders of which nobody knows where they go.
    ours = tuple(Account(id=account_id, profile="bench", exchange="BENCH") for account_id in world.account_ids())
    small = replace(many, policies=tuple(_limits()), profiles=(_PROFILE,), accounts=ours, restrictions=())
    small = replace(small, parameters=replace(many.parameters, state_max_age_us=_DAY_US, price_max_age_us=_DAY_US))
    large = replace(
        small,
        policies=(*small.policies, *narrow),
        profiles=(*many.profiles, _PROFILE),
        accounts=(*many.accounts, *ours),
        restrictions=many.restrictions,
    )
    server = redis_url.rpartition("/")[0]
    sides = [_Side(f"{server}/{place}", book) for place, book in ((2, small), (3, large))]
    for _ in range(_ROUNDS):
        for side in sides:
            side.check()
    return [side.found() for side in sides]


def _limits() -> Iterator[Policy]:
    for row in world.rows().policies:
        yield Policy(
            id=str(uuid.uuid5(uuid.NAMESPACE_OID, row["name"])),
            name=row["name"],
            type=PolicyType.HARD,
            metric=row["metric"],
            operator=Operator(row["operator"]),
            threshold=Decimal(row["threshold"]),
        )


_DAY_US = 86_400_000_000
_PROFILE = Profile(
    name="bench",
    allowed_leverage=Decimal(10),
    max_single_trade_risk=Decimal("0.5"),
    max_daily_loss=Decimal("0.5"),
    max_weekly_loss=Decimal("0.5"),
    max_open_positions=100,
)
