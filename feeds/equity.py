"""Keeps points of every account's equity, as its state said it, and of the firm's; with the figures that charts show.

A point is at the moment when the state was received, the firm's when the newest was. So an account that is not reported
any more has no new points, rather than its last equity again and again. How fast equity falls is worked out from them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal, localcontext
from itertools import islice

import msgspec
from django.db import connection, transaction

from feeds import metrics
from feeds.books import CompiledBooks
from feeds.history import do_keep_equity
from feeds.metrics import Kept, Lost
from feeds.models import EQUITY, FIGURE, EquityPoint
from feeds.valuation import Valuation, valuation
from riskcore.calendar import moment
from riskcore.case import decode_state
from riskcore.decimals import EXACT
from riskcore.firm import FIRM
from riskcore.metrics import METRICS, Subject
from riskcore.ports import Load
from riskcore.types import AccountState
from state.changes import UNKNOWN, AccountRecord
from state.store import Store

logger = logging.getLogger(__name__)

# Any number that stands for nothing else: who holds it writes equity, for as long as a transaction.
_LOCK = 7_265_717

# A task may come this much earlier than the interval says, as clocks of tasks do, and still keep a point.
_EARLY = 0.1

# So many accounts take about as long as the pause after them.
_TOGETHER = 200
_PAUSE_S = 0.04

# What is kept beside equity: columns, and the metrics that they are.
FIGURES = {name: METRICS[name].value for name in ("gross_exposure", "drawdown_daily", "var_95")}


def keep_equity(store: Store, books: CompiledBooks, every: timedelta) -> int:
    """Keep a point of each account, and of the firm, whose last is about as old as `every`; return how many are new.

    However often this runs, and however many run it at once: the others find the points of the first. Equity that
    the database would refuse, and states that cannot be read, are counted as lost and logged. While the live state is
    not restored there is nothing to value accounts by: points of then have no figures, and the firm has none.
    Raises StateUnavailable, and Django's database errors.
    """
    now_us = store.load(Load(accounts=())).now_us
    points = list(_all_points(store, valuation(store, books, now_us)))
    since = moment(now_us) - (1 - _EARLY) * every
    with transaction.atomic():
        if not _is_alone():
            return 0
        recent = set(EquityPoint.objects.filter(at__gt=since).order_by().values_list("account_id", flat=True))
        due = [point for point in points if point.account_id not in recent]
        do_keep_equity(due)  # of an account that is silent, the point that is there already
    new = sum(point.at > since for point in due)
    metrics.count_kept(Kept.EQUITY, new)
    return new


def _is_alone() -> bool:
    """Return whether nobody else writes equity until the transaction ends. SQLite has one writer at a time anyway."""
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", (_LOCK,))
        return bool(cursor.fetchone()[0])


def _all_points(store: Store, values: Valuation | None) -> Iterator[EquityPoint]:
    """Yield the points of all accounts, and then the firm's."""
    for record in _records(store):
        if record.state is not None:
            subject = None if values is None else values.of(store, record)
            yield from _of_account(record.account_id, record.state, subject)
    firm = None if values is None else values.firm()
    if firm is not None:
        newest_us, subject = firm
        yield from _point(FIRM, newest_us, subject.state.equity, subject)


def _records(store: Store) -> Iterator[AccountRecord]:
    """Yield what is kept of every account, with pauses: in the same process the monitor looks each second."""
    rest = iter(store.account_ids())
    while some := tuple(islice(rest, _TOGETHER)):
        for part in store.changed("", dict.fromkeys(some, UNKNOWN)):
            yield from part.records
        if len(some) == _TOGETHER:
            time.sleep(_PAUSE_S)


def _of_account(account_id: str, state_json: bytes, subject: Subject | None) -> Iterator[EquityPoint]:
    """Yield the account's point, if its state says what its equity is. `subject`: what it is valued at, if it is."""
    try:
        state = decode_state(state_json)
    except msgspec.MsgspecError as error:
        logger.error("the equity of account %s is not kept, its state cannot be read: %s", account_id, error)
        metrics.count_lost(Kept.EQUITY, Lost.UNREADABLE)
        return
    if _says_equity(state):
        yield from _point(account_id, state.received_at_us, state.equity, subject)


def _point(account_id: str, at_us: int, equity: Decimal, subject: Subject | None) -> Iterator[EquityPoint]:
    """Yield a point, if the database takes its equity."""
    if not EQUITY.low <= equity <= EQUITY.high:
        logger.error(
            "the equity of %s is not kept: it is %s", f"account {account_id}" if account_id else "the firm", equity
        )
        metrics.count_lost(Kept.EQUITY, Lost.REFUSED)
        return
    with localcontext(EXACT):
        figures = {name: None if subject is None else _kept(figure(subject)) for name, figure in FIGURES.items()}
    yield EquityPoint(account_id=account_id, at=moment(at_us), equity=equity, **figures)


def _kept(figure: Decimal | None) -> Decimal | None:
    """Return a figure, None where it is not known or larger than the database takes."""
    return figure if figure is not None and FIGURE.low <= figure <= FIGURE.high else None


def _says_equity(state: AccountState) -> bool:
    """Return whether a report has said it: a state that only positions or fills have made has no roll-over."""
    return bool(state.day_end_us and state.received_at_us)
