"""What a test does to the live state of a riskportal in another process, past its doors."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeAlias

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
    """Change the threshold of a policy by a request, as officers do."""

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
    from audit.acting import system
    from policies.edits import Edit
    from policies.models import Policy, State
    from policies.requests import services

    policy = Policy.objects.get(name=request.policy)
    edit = Edit("policy", str(policy.pk), policy.version, {"threshold": request.threshold})
    asked = services.do_draft_request(acting=system("alice"), reason="a race", edits=[edit])
    seen: dict[str, Any] = {"request_id": asked.pk, "expected_version": asked.version}
    if services.do_submit_request(acting=system("alice"), **seen).state == State.SUBMITTED:
        services.do_approve_request(acting=system("bob"), **seen)
    made = services.do_publish_request(acting=system("alice"), **seen)
    assert made.live
    assert made.book is not None
    return made.book.version


def _drain(store: Store) -> None:
    from audit.drain import drain

    while store.journal_length(0):
        drain(store)
