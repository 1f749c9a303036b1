"""Evaluates recorded decisions again, and says where the answer is not the recorded one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec
from django.db.models import Q, QuerySet
from msgspec import Struct

from audit.models import OrderDecision
from riskcore.compiled import CompiledBook
from riskcore.decide import reevaluate
from riskcore.journal import Inputs

CHUNK = 500

BookOf = Callable[[int], CompiledBook]

_inputs = msgspec.json.Decoder(Inputs)


class Difference(Struct, frozen=True, kw_only=True):
    """A decision that comes out otherwise today. `fields`: by name, what was recorded and what is now.

    `problem` says why there is no answer at all, and is empty where there is one.
    """

    decision_id: str
    account_id: str
    decided_at: datetime
    book_version: int
    fields: dict[str, tuple[Any, Any]]
    problem: str = ""


def select(*, since: datetime | None = None, account_id: str = "") -> QuerySet[OrderDecision]:
    """Return the decisions since a moment, of one account, in the order in which they were taken."""
    decisions = OrderDecision.objects.order_by("decided_at", "decision_id")
    if since is not None:
        decisions = decisions.filter(decided_at__gte=since)
    return decisions.filter(account_id=account_id) if account_id else decisions


def in_chunks(decisions: QuerySet[OrderDecision], size: int = CHUNK) -> Iterator[OrderDecision]:
    """Yield the selected decisions, never holding more than `size` of them."""
    rows = list(decisions[:size])
    while rows:
        yield from rows
        last = rows[-1]
        after = Q(decided_at__gt=last.decided_at) | Q(decided_at=last.decided_at, decision_id__gt=last.decision_id)
        rows = list(decisions.filter(after)[:size])


def compare(decision: OrderDecision, book_of: BookOf) -> Difference | None:
    """Return how the decision, evaluated again under its own book, differs from the record; None: not at all.

    `book_of` returns the compiled book of a version, and raises LookupError where there is none.
    """
    try:
        again = reevaluate(_inputs.decode(decision.inputs), book_of(decision.book_version))
    except Exception as error:  # whatever it is, it is a finding about this decision, and the others are checked
        return _difference(decision, {}, f"{type(error).__name__}: {error}")
    if again == decision.answer.encode():
        return None
    recorded, now = msgspec.json.decode(decision.answer), msgspec.json.decode(again)
    _forget_newer_metrics(recorded, now)
    names = sorted({*recorded, *now})
    fields = {name: (recorded.get(name), now.get(name)) for name in names if recorded.get(name) != now.get(name)}
    return _difference(decision, fields) if fields else None


def _forget_newer_metrics(recorded: dict[str, Any], now: dict[str, Any]) -> None:
    """Leave out of the answer of today what it shows and did not show then: a metric that is newer than the record."""
    then, shown = recorded.get("post_trade_metrics"), now.get("post_trade_metrics")
    if isinstance(then, dict) and then and isinstance(shown, dict):
        now["post_trade_metrics"] = {name: value for name, value in shown.items() if name in then}


def _difference(decision: OrderDecision, fields: dict[str, tuple[Any, Any]], problem: str = "") -> Difference:
    return Difference(
        decision_id=str(decision.decision_id),
        account_id=decision.account_id,
        decided_at=decision.decided_at,
        book_version=decision.book_version,
        fields=fields,
        problem=problem,
    )
