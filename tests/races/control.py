"""What a test does to the live state of a riskportal in another process, past its doors."""

from __future__ import annotations

from decimal import Decimal
from typing import TypeAlias

from msgspec import Struct

from feeds.books import BOOKS
from riskcore.ports import Load, Stop
from riskcore.report import AccountReport
from riskcore.types import Reservation
from state.store import JOURNAL_START, Store

_ENTRIES = 1_000_000


class Prepare(Struct, frozen=True, kw_only=True, tag=True):
    """Report the states of accounts that hold nothing, each with its equity, and prices."""

    equities: dict[str, Decimal]
    prices: dict[str, Decimal]


class SetStops(Struct, frozen=True, kw_only=True, tag=True):
    """Set the stops in force."""

    stops: tuple[Stop, ...]


class ReadJournal(Struct, frozen=True, tag=True):
    """Return the entries that are not drained yet."""


class ReadReservations(Struct, frozen=True, kw_only=True, tag=True):
    """Return the reservations of an account."""

    account_id: str


class ChangeThreshold(Struct, frozen=True, kw_only=True, tag=True):
    """Change the threshold of a policy, as an officer does."""

    policy: str
    threshold: Decimal


class Drain(Struct, frozen=True, tag=True):
    """Move the journal into the database."""


Request: TypeAlias = Prepare | SetStops | ReadJournal | ReadReservations | ChangeThreshold | Drain


class Reply(Struct, kw_only=True):
    """What came of it. `now_us` is the store's clock just after; what a request has nothing to say of is empty."""

    now_us: int = 0
    epoch: int = 0
    book_version: int = 0
    journal: list[str] = []
    reservations: tuple[Reservation, ...] = ()


def perform(store: Store, request: Request) -> Reply:
    """Do it, and say what came of it."""
    reply = Reply()
    match request:
        case Prepare():
            _prepare(store, request)
        case SetStops():
            reply.epoch = store.set_stops(request.stops)
        case ReadJournal():
            reply.journal = [content.decode() for _, content in store.read_journal(0, JOURNAL_START, _ENTRIES)]
        case ReadReservations():
            reply.reservations = store.reservations(request.account_id)
        case ChangeThreshold():
            reply.book_version = _change_threshold(request)
        case Drain():
            _drain(store)
    reply.now_us = store.load(Load(accounts=())).now_us
    return reply


def _prepare(store: Store, request: Prepare) -> None:
    from feeds.apply import apply_report

    store.put_prices({symbol: (str(price), 0) for symbol, price in request.prices.items()})
    for account_id, equity in request.equities.items():
        report = AccountReport(account_id=account_id, equity=equity, margin_used=Decimal(0), positions={})
        assert apply_report(store, BOOKS, report)


def _change_threshold(request: ChangeThreshold) -> int:
    from policies.models import Policy
    from policies.services import do_change_policy

    policy = Policy.objects.get(name=request.policy)
    made = do_change_policy(
        actor="test",
        reason="a race",
        policy_id=policy.pk,
        expected_version=policy.version,
        threshold=request.threshold,
    )
    assert made.live
    return made.book.version


def _drain(store: Store) -> None:
    from audit.drain import drain

    while store.journal_length(0):
        drain(store)
