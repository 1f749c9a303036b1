"""A new book is told of once it is in force, and not before."""

from __future__ import annotations

import pytest
from django.db import transaction

from bus.events import BookPublished
from policies.book import ensure_published, latest
from tests.policies.subjects import AwayStore, limit


@pytest.fixture
def told(monkeypatch):
    """The events that were published."""
    events: list[BookPublished] = []
    monkeypatch.setattr("bus.publish.publish", events.append)
    return events


def test_a_change_tells_of_the_book_that_it_made(live, told):
    made = limit()
    (event,) = told
    assert (event.version, event.sha256) == (made.book.version, made.book.sha256)
    assert (event.actor, event.reason, event.created_at) == ("alice", "because", made.book.created_at)


def test_nothing_is_told_before_the_commit(live, told):
    with transaction.atomic():
        limit()
        assert told == []
    assert len(told) == 1


def test_nothing_is_told_of_a_change_that_was_rolled_back(live, told):
    with transaction.atomic():
        limit()
        transaction.set_rollback(True)
    assert told == []


def test_a_book_that_could_not_be_made_live_is_told_of_when_it_is(live, told, monkeypatch):
    with monkeypatch.context() as away:
        away.setattr("policies.book.store", AwayStore)
        made = limit()
    assert told == []
    ensure_published()
    assert [event.version for event in told] == [made.book.version]


def test_a_repair_of_the_book_in_force_is_no_news(live, told):
    book = latest()
    assert book is not None
    live.publish_book(book.version, b"damaged")
    ensure_published()
    assert told == []
