"""The published book: what it is made of, that it stays what it was, and that checks go by the newest."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from audit.append_only import AppendOnlyError
from audit.models import AuditEvent
from policies import services
from policies.book import ensure_published, latest, loaded, parameters
from policies.compare import compare_books
from policies.models import Book
from policies.tasks import refresh_book
from riskcore.book import Account, Instrument, Profile, Restriction, content_hash, decode_book, encode_book
from riskcore.types import OrderType, Side
from state.memory_store import MemoryStore
from tests.policies.subjects import WHO, account, instrument, limit, live_book, profile, restriction
from tests.support.tampering import tamper


def test_a_book_holds_everything_a_check_needs(defaults):
    profile(strategies=["b", "a"])
    account(profile="wide", exchange="X", reservation_ttl_s=30)
    instrument(order_types=["limit"], margin_rate=Decimal("0.20"), average_daily_volume=Decimal("31250.50"))
    until = datetime(2100, 1, 1, tzinfo=UTC)
    made = restriction(side="sell", account_id="desk-1", close_only=True, until=until)
    book = loaded(made.book.version)
    assert book.version == made.book.version
    assert book.parameters == parameters()
    assert book.accounts == (Account(id="desk-1", profile="wide", exchange="X", reservation_ttl_us=30_000_000),)
    assert book.instruments == (
        Instrument(
            symbol="BTCUSDT",
            tick_size=Decimal("0.01"),
            margin_rate=Decimal("0.2"),
            order_types=(OrderType.LIMIT,),
            average_daily_volume=Decimal("31250.5"),
        ),
    )
    assert book.restrictions == (
        Restriction(
            symbol="DOGEUSDT",
            reason="because",
            side=Side.SELL,
            account_id="desk-1",
            close_only=True,
            until_us=4_102_444_800_000_000,
        ),
    )
    assert [each for each in book.profiles if each.name == "wide"] == [
        Profile(
            name="wide",
            allowed_leverage=Decimal(10),
            max_single_trade_risk=Decimal("0.5"),
            max_daily_loss=Decimal("0.05"),
            max_weekly_loss=Decimal("0.1"),
            max_open_positions=10,
            strategies=("a", "b"),
        )
    ]


def test_content_is_canonical_and_has_the_hash_of_what_it_says(defaults):
    book = decode_book(defaults.content.encode())
    assert encode_book(book).decode() == defaults.content
    assert content_hash(defaults.content.encode()) == defaults.sha256


def test_taking_a_change_back_gives_the_hash_it_had(defaults):
    first = limit()
    there = services.do_change_policy(
        **WHO, policy_id=first.row.pk, expected_version=1, threshold=Decimal(2000), name="Max Order"
    )
    assert there.book.sha256 != first.book.sha256
    instrument_book = instrument().book
    lot = services.do_change_instrument(**WHO, symbol="BTCUSDT", expected_version=1, lot_size=Decimal(1))
    back = services.do_change_instrument(**WHO, symbol="BTCUSDT", expected_version=2, lot_size=Decimal(0))
    assert lot.book.sha256 != instrument_book.sha256 == back.book.sha256


def test_a_book_is_neither_changed_nor_deleted(defaults):
    defaults.reason = "another"
    for attempt in (defaults.save, defaults.delete, Book.objects.all().delete):
        with pytest.raises(AppendOnlyError):
            attempt()


@pytest.mark.parametrize("content", ["{}", "no book", None])
def test_a_book_whose_content_was_changed_is_not_loaded(defaults, content):
    tampered = content or defaults.content.replace('"threshold":"10"', '"threshold":"100"')
    assert tampered != defaults.content
    tamper("UPDATE policies_book SET content = %s", with_=[tampered])
    with pytest.raises(ValueError, match="book 1"):
        loaded(1)


def test_a_book_that_is_not_there_is_said_to_be_missing(defaults):
    with pytest.raises(LookupError, match="no book 7"):
        loaded(7)


def test_changed_settings_make_a_new_book_by_configuration(live, settings):
    before_us = settings.RISK_STATE_MAX_AGE // timedelta(microseconds=1)
    settings.RISK_STATE_MAX_AGE = timedelta(seconds=9)
    assert ensure_published()
    newest = latest()
    assert newest is not None
    assert (newest.version, newest.actor) == (2, "configuration")
    assert live_book(live).parameters.state_max_age_us == 9_000_000
    event = AuditEvent.objects.get(action="parameters.change")
    assert event.before is not None
    assert event.after is not None
    assert (event.before["state_max_age_us"], event.after["state_max_age_us"]) == (before_us, 9_000_000)
    assert not ensure_published()
    assert Book.objects.count() == 2


def test_with_nothing_to_repair_nothing_is_done(live):
    assert not ensure_published()
    assert Book.objects.count() == 1


def test_a_book_that_did_not_reach_the_live_state_is_published_again(live, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("policies.changes.publish", lambda book: False)
        made = limit()
    assert live_book(live).version == 1
    refresh_book()
    assert live_book(live).version == made.book.version


def test_a_live_book_whose_content_differs_is_repaired(live):
    live.publish_book(1, b'{"version":1}')
    assert ensure_published()
    assert live_book(live) == loaded(1)


def test_a_live_state_without_memory_is_left_to_be_restored(defaults, monkeypatch):
    lost = MemoryStore()
    monkeypatch.setattr("policies.book.store", lambda: lost)
    assert not ensure_published()
    assert lost.control() is None


def test_a_live_state_ahead_of_the_database_is_left_alone_and_said_loudly(live, caplog):
    live.publish_book(5, b"{}")
    with caplog.at_level(logging.ERROR):
        assert not ensure_published()
    assert "old backup" in caplog.text
    control = live.control()
    assert control is not None
    assert control.book_version == 5


def test_the_refresh_outlives_the_live_state(away, defaults, caplog):
    refresh_book()
    assert "connection refused" in caplog.text


def test_books_are_compared_by_item_and_field(defaults):
    made = limit()
    restriction()
    later = services.do_change_policy(**WHO, policy_id=made.row.pk, expected_version=1, threshold=Decimal(5))
    found = compare_books(loaded(made.book.version), loaded(later.book.version))
    assert [(each.part, each.name, each.field) for each in found] == [
        ("policies", "Max Order Notional", "threshold"),
        ("restrictions", "DOGEUSDT", "restricted"),
    ]
    assert (found[0].before, found[0].after) == (Decimal(1000), Decimal(5))


def test_equal_books_have_no_differences(defaults):
    assert compare_books(loaded(1), loaded(1)) == []


def test_the_first_book_is_all_new(defaults):
    found = [each for each in compare_books(None, loaded(1)) if each.part != "parameters"]
    assert {(each.part, each.field) for each in found} == {("policies", "added"), ("profiles", "added")}
