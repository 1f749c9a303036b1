"""Gives the live state back the first answers to orders of the last day, so that none is decided twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

import msgspec
from django.db.models import QuerySet
from msgspec import Struct

from audit.models import OrderDecision
from riskcore.batch import fingerprint
from riskcore.ports import AccountChange, AccountQuery, Answer, Commit, Committed, Load, Loaded
from riskcore.reasons import TRANSIENT, Reason
from riskcore.types import Order
from state.store import ANSWER_LIFE_S, StateUnavailable, Store

# Rows read at once, and answers written by one commit, which keeps other commands waiting.
_READ = 2000
_WRITE = 100
_ATTEMPTS = 64


class _Asked(Struct, frozen=True):
    """As much of a decision's inputs as says whether its answer was remembered, and for what."""

    order: Order
    duplicate: bool = False
    forced: Reason | None = None


_asked = msgspec.json.Decoder(_Asked)


def remember(store: Store, *, before: datetime, now: datetime, most: int) -> tuple[int, datetime | None]:
    """Put back the answers to orders decided up to `before`, the newest first, `most` of them.

    Returns how many were not there already, and where to go on, None where all of the last day are back. An
    order that was decided again meanwhile keeps its newer answer. Raises StateUnavailable.
    """
    oldest = now - timedelta(seconds=ANSWER_LIFE_S)
    put_back = looked_at = 0
    at = before
    for rows in _chunks(_decisions(oldest, before)[:most]):
        put_back += _put_back(store, rows)
        looked_at += len(rows)
        at = rows[-1].decided_at
    # Decisions of the same moment are read again then: they are known, and fewer than `most`.
    return put_back, at if looked_at == most else None


def _chunks(decisions: QuerySet[OrderDecision]) -> Iterator[list[OrderDecision]]:
    rows = decisions.iterator(chunk_size=_READ)
    while chunk := list(islice(rows, _READ)):
        yield chunk


def _decisions(oldest: datetime, newest: datetime) -> QuerySet[OrderDecision]:
    decisions = OrderDecision.objects.filter(what_if=False, decided_at__gt=oldest, decided_at__lte=newest)
    kept = decisions.exclude(reason__in=[reason.value for reason in TRANSIENT])
    return kept.only("decision_id", "account_id", "order_id", "decided_at", "inputs", "answer").order_by(
        "-decided_at", "-decision_id"
    )


def _put_back(store: Store, rows: list[OrderDecision]) -> int:
    by_account: dict[str, dict[str, Answer]] = {}
    for row in rows:
        asked = _asked.decode(row.inputs)
        if not asked.duplicate and asked.forced is None:
            answers = by_account.setdefault(row.account_id, {})
            answers.setdefault(row.order_id, Answer(fingerprint(asked.order), row.answer.encode()))
    return sum(
        _write(store, account_id, dict(part))
        for account_id, answers in by_account.items()
        for part in _parts(list(answers.items()))
    )


def _parts(answers: list[tuple[str, Answer]]) -> Iterator[list[tuple[str, Answer]]]:
    for first in range(0, len(answers), _WRITE):
        yield answers[first : first + _WRITE]


def _write(store: Store, account_id: str, answers: dict[str, Answer]) -> int:
    load = Load(accounts=(AccountQuery(account_id=account_id, order_ids=tuple(answers)),))
    reply: Loaded | Committed = store.load(load)
    for _attempt in range(_ATTEMPTS):
        assert isinstance(reply, Loaded)
        view = reply.accounts[0]
        unknown = {order_id: answer for order_id, answer in answers.items() if order_id not in view.answers}
        if not unknown:
            return 0
        change = AccountChange(account_id=account_id, expected_version=view.version, answers=unknown)
        reply = store.commit(Commit(expect=None, changes=(change,), journal=(), reload=load))
        if isinstance(reply, Committed):
            return len(unknown)
    raise StateUnavailable(f"account {account_id} changed at every attempt to put answers back")
