"""The history that books go by: kept once, part of every book from then on, and evidence like the rest of it."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from msgspec.structs import replace

from audit.models import AuditEvent
from policies import services
from policies.book import ensure_published, latest, loaded, published
from policies.models import Book, BookReturns
from policies.returns import do_publish_returns
from riskcore.book import Returns
from riskcore.compiled import CompiledBook
from tests.policies.subjects import WHO, live_book
from tests.support.tampering import tamper

RETURNS = Returns(
    version="a" * 64,
    symbols=("BTCUSDT", "ETHUSDT"),
    days=30,
    since="2026-10-21",
    until="2026-11-19",
    values=(np.arange(60) / 1000).astype("<f8").tobytes(),
)
WHY = "Prices to 2026-11-19"


def made(returns: Returns = RETURNS) -> Book:
    book = do_publish_returns(returns, reason=WHY)
    assert book is not None
    return book


def test_before_the_first_book_nothing_is_published(db):
    assert do_publish_returns(RETURNS, reason=WHY) is None
    assert not BookReturns.objects.exists()


@pytest.mark.parametrize(
    ("values", "problem"), [(b"\0" * 8, "are not 2 symbols on 30 days"), (np.full(60, np.nan).tobytes(), "finite")]
)
def test_what_are_no_returns_are_not_kept(live, values, problem):
    with pytest.raises(ValueError, match=problem):
        do_publish_returns(replace(RETURNS, values=values), reason=WHY)
    assert not BookReturns.objects.exists()
    assert live_book(live).version == 1


def test_they_make_a_book_that_checks_go_by(live):
    book = made()
    assert (book.version, book.actor, book.reason) == (2, "history", WHY)
    assert live_book(live).returns == loaded(2).returns == RETURNS
    compiled = CompiledBook(live_book(live)).returns
    assert compiled is not None
    assert (compiled.days, compiled.until) == (30, "2026-11-19")


def test_the_same_make_no_other_book(live):
    made()
    assert do_publish_returns(RETURNS, reason=WHY) is None
    assert Book.objects.count() == 2


def test_who_and_what_is_in_the_audit_log(live):
    made()
    made(replace(RETURNS, version="b" * 64, until="2026-11-20"))
    event = AuditEvent.objects.filter(action="returns.change").latest("sequence")
    assert event.before == {"version": "a" * 64, "symbols": 2, "days": 30, "until": "2026-11-19"}
    assert event.after is not None
    assert (event.after["until"], event.after["book"]["version"]) == ("2026-11-20", 3)
    assert (event.actor, event.reason) == ("history", WHY)


def test_later_books_have_them_too_and_they_are_kept_once(live):
    made()
    change = services.do_create_policy(
        **WHO, name="Daily value at risk", type="hard", metric="var_99", operator="<=", threshold=Decimal("0.05")
    )
    assert loaded(change.book.version).returns == RETURNS
    assert '"returns"' not in change.book.content
    assert BookReturns.objects.count() == 1


def test_another_history_is_another_hash(live):
    first = made()
    second = made(replace(RETURNS, version="b" * 64, values=(np.arange(60) / 500).astype("<f8").tobytes()))
    assert first.sha256 != second.sha256


def test_a_history_that_was_changed_is_not_loaded(live):
    made()
    tamper("UPDATE policies_bookreturns SET content = REPLACE(content, '2026-11-19', '2026-11-18')")
    with pytest.raises(ValueError, match="book 2 is not what was published"):
        loaded(2)


def test_a_live_book_without_them_is_repaired(live):
    book = made()
    live.publish_book(2, book.content.encode())
    assert ensure_published()
    newest = latest()
    assert newest is not None
    assert live.fetch_book(2) == published(newest)
