"""The history of prices that limits on value at risk go by: a new one makes a new book."""

from __future__ import annotations

from datetime import date

import msgspec
from django.db import transaction
from django.utils import timezone

from audit.sealing import seal
from audit.services import record
from policies.book import add_book, as_evidence, latest, lock_books, publish
from policies.models import Book, BookReturns
from riskcore.book import Returns

HISTORY = "history"


def do_publish_returns(returns: Returns, *, actor: str = HISTORY, reason: str) -> Book | None:
    """Make the book that goes by these returns, and publish it; return it, None where the newest one does already.

    Before the first book there is nothing to do either. Raises ValueError where they are no returns.
    """
    with transaction.atomic():
        lock_books()
        newest = latest()
        if newest is None or newest.returns_id == returns.version:
            return None
        before = newest.returns
        row = BookReturns.objects.filter(version=returns.version).first() or _kept(returns)
        at = timezone.now()
        book = add_book(actor=actor, reason=reason, at=at, returns=row)
        record(
            actor=actor,
            action="returns.change",
            object_type="returns",
            object_id=row.version,
            object_label=str(row),
            reason=reason,
            before=None if before is None else _said(before),
            after={**_said(row), "book": as_evidence(book)},
            at=at,
        )
    publish(book)
    return book


def _kept(returns: Returns) -> BookReturns:
    """Keep a history of prices that no book went by before."""
    row = BookReturns(
        version=returns.version,
        content=msgspec.json.encode(returns).decode(),
        days=returns.days,
        symbols=len(returns.symbols),
        until=date.fromisoformat(returns.until),
        created_at=timezone.now(),
    )
    seal(row)
    return row


def _said(row: BookReturns) -> dict[str, object]:
    return {"version": row.version, "symbols": row.symbols, "days": row.days, "until": row.until}
