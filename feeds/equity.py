"""Keeps points of every account's equity, as its state said it: how fast it falls is worked out from them.

A point is at the moment when the state was received. So an account that is not reported any more has no new points,
rather than its last equity again and again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta

import msgspec
from django.db import connection, transaction

from feeds import metrics
from feeds.history import do_keep_equity
from feeds.metrics import Kept, Lost
from feeds.models import EQUITY, EquityPoint
from riskcore.calendar import moment
from riskcore.case import decode_state
from riskcore.ports import AccountQuery, AccountView, Load
from riskcore.types import AccountState
from state.many import load_many
from state.store import Store

logger = logging.getLogger(__name__)

# Any number that stands for nothing else: who holds it writes equity, for as long as a transaction.
_LOCK = 7_265_717

# A task may come this much earlier than the interval says, as clocks of tasks do, and still keep a point.
_EARLY = 0.1


def keep_equity(store: Store, every: timedelta) -> int:
    """Keep a point of each account whose last one is about as old as `every`; return how many accounts have a new one.

    However often this runs, and however many run it at once: the others find the points of the first. Equity that
    the database would refuse, and states that cannot be read, are counted as lost and logged.
    Raises StateUnavailable, and Django's database errors.
    """
    now_us = store.load(Load(accounts=())).now_us
    views = load_many(store, (AccountQuery(account_id=each) for each in store.account_ids()))
    points = [point for loaded in views for view in loaded.accounts for point in _points(view)]
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


def _points(view: AccountView) -> Iterator[EquityPoint]:
    """Yield the account's point, if its state says what its equity is."""
    if view.state is None:
        return
    try:
        state = decode_state(view.state)
    except msgspec.MsgspecError as error:
        logger.error("the equity of account %s is not kept, its state cannot be read: %s", view.account_id, error)
        metrics.count_lost(Kept.EQUITY, Lost.UNREADABLE)
        return
    if not _says_equity(state):
        return
    if not EQUITY.low <= state.equity <= EQUITY.high:
        logger.error("the equity of account %s is not kept: it is %s", view.account_id, state.equity)
        metrics.count_lost(Kept.EQUITY, Lost.REFUSED)
        return
    yield EquityPoint(account_id=view.account_id, at=moment(state.received_at_us), equity=state.equity)


def _says_equity(state: AccountState) -> bool:
    """Return whether a report has said it: a state that only positions or fills have made has no roll-over."""
    return bool(state.day_end_us and state.received_at_us)
