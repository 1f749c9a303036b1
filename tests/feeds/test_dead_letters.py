"""Dead letters: kept through an outage of the database, and taken after all, once, by somebody with a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import DatabaseError
from django.urls import reverse

from audit.acting import NotAllowed, acting
from audit.models import AuditEvent
from audit.verify import verify_chain
from feeds import admin as feeds_admin
from feeds.books import CompiledBooks
from feeds.dead_letters import REPLAY, DeadLetters, NotReplayed, do_replay_dead_letter
from feeds.intake import Outcome
from feeds.models import DeadLetter
from riskcore.book import encode_book
from riskcore.ports import AccountQuery, Load
from state.memory_store import MemoryStore
from tests.riskcore import builders

pytestmark = pytest.mark.django_db

GOOD = {"account_id": "A", "equity": 5, "margin_used": 0, "timestamp": 1_790_000_000}


@pytest.fixture
def live() -> MemoryStore:
    store = MemoryStore()
    store.restore(book_version=1, content=encode_book(builders.book()), stops=(), keys=b"[]")
    return store


def letter(subject: str = "pnl.update", payload: bytes = b"", **what: Any) -> DeadLetter:
    letters = DeadLetters()
    letters.put(subject, payload or json.dumps({**GOOD, **what}).encode(), "a passing fault")
    assert letters.write() == 1
    return DeadLetter.objects.get()


def replay(of: DeadLetter, store: MemoryStore, **what: Any) -> Outcome:
    given = {"acting": acting("olga", [REPLAY]), "reason": "the account is there now", **what}
    return do_replay_dead_letter(of.pk, store=store, books=CompiledBooks(), **given)


def version(store: MemoryStore) -> int:
    return store.load(Load(accounts=(AccountQuery(account_id="A"),))).accounts[0].version


# ------------------------------------------------------------------------------------------------- kept


def test_letters_wait_while_the_database_is_away(monkeypatch) -> None:
    letters = DeadLetters()
    letters.put("pnl.update", b"{}", "wrong")

    def fail(_rows: object) -> None:
        raise DatabaseError("away")

    with monkeypatch.context() as patch:
        patch.setattr(DeadLetter.objects, "bulk_create", fail)
        patch.setattr("feeds.dead_letters.connection.close", lambda: None)
        assert letters.write() == 0
    assert letters.waiting == 1
    assert letters.write() == 1
    assert (letters.waiting, letters.write()) == (0, 0)
    assert DeadLetter.objects.get().error == "wrong"


def test_of_too_many_letters_the_newest_are_kept() -> None:
    letters = DeadLetters(most=2)
    for number in range(3):
        letters.put("pnl.update", b"%d" % number, "wrong")
    letters.write()
    assert sorted(bytes(one.payload) for one in DeadLetter.objects.all()) == [b"1", b"2"]


def test_no_letter_is_longer_than_can_be_looked_at() -> None:
    assert len(letter(payload=b"x" * 1_000_000).payload) == 65_536


# ------------------------------------------------------------------------------------------- taken after all


@pytest.mark.parametrize(
    ("subject", "payload", "why"),
    [
        ("pnl.update", b"{}", "equity: is missing"),
        ("pnl.update", json.dumps({**GOOD, "account_id": "nobody"}).encode(), "no such account"),
        ("orders.opened", b"{}", "not one that is read"),
    ],
)
def test_what_still_cannot_be_taken_stays_as_it_is(live, subject, payload, why) -> None:
    broken = letter(subject, payload)
    with pytest.raises(NotReplayed, match=why):
        replay(broken, live)
    broken.refresh_from_db()
    assert broken.replayed_at is None
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("who", [acting("victor", ["feeds.view_deadletter"]), acting("otto", [REPLAY], ["A"])])
def test_who_may_not_takes_no_letter(live, who) -> None:
    waiting = letter()
    with pytest.raises(NotAllowed):
        replay(waiting, live, acting=who)
    waiting.refresh_from_db()
    assert waiting.replayed_at is None


def test_a_letter_is_taken_with_who_and_why(live) -> None:
    good = letter()
    assert replay(good, live) is Outcome.TAKEN
    assert version(live) == 1
    good.refresh_from_db()
    assert good.replayed_by == "olga"
    event = AuditEvent.objects.get()
    assert (event.actor, event.action, event.reason) == ("olga", "dead_letter.replay", "the account is there now")
    assert verify_chain().intact


def test_a_letter_is_taken_once(live) -> None:
    good = letter()
    replay(good, live)
    with pytest.raises(NotReplayed, match=r"it was taken at .* by olga"):
        replay(good, live, acting=acting("otto", [REPLAY]))
    assert version(live) == 1


def test_a_letter_that_is_older_than_what_is_known_changes_nothing(live) -> None:
    good = letter(sequence=3)
    assert replay(good, live) is Outcome.TAKEN
    DeadLetter.objects.all().delete()
    assert replay(letter(sequence=2), live) is Outcome.KNOWN
    assert version(live) == 1


def test_a_tick_may_be_taken_too(live) -> None:
    tick = letter("market.tick.BTCUSDT", b'{"symbol":"BTCUSDT","price":"7"}')
    assert replay(tick, live) is Outcome.TAKEN
    assert live.prices(["BTCUSDT"])["BTCUSDT"].price == 7


# --------------------------------------------------------------------------------------------- in the admin


@pytest.fixture
def page(client, live, monkeypatch):
    """The page of a letter, for somebody with these permissions."""
    monkeypatch.setattr(feeds_admin, "store", lambda: live)
    monkeypatch.setattr(feeds_admin, "BOOKS", CompiledBooks())

    def sign_in(*permissions: str) -> Any:
        user = User.objects.create(username="olga", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
        return client

    return sign_in


def address(of: DeadLetter) -> str:
    return reverse("admin:feeds_deadletter_change", args=(of.pk,))


def test_nobody_takes_a_letter_without_the_right_to(page, live) -> None:
    of = letter()
    client = page("view_deadletter")
    shown = client.get(address(of)).content.decode()
    assert "a passing fault" in shown
    assert 'name="reason"' not in shown
    assert client.post(address(of), {"reason": "x"}).status_code == 403
    assert version(live) == 0


def test_the_admin_takes_a_letter_and_says_so(page, live) -> None:
    of = letter()
    client = page("view_deadletter", "replay_deadletter")
    assert 'name="reason"' in client.get(address(of)).content.decode()
    told = client.post(address(of), {"reason": "the account is there now"}, follow=True)
    assert "The message was taken." in told.content.decode()
    assert version(live) == 1
    assert 'name="reason"' not in client.get(address(of)).content.decode()
    assert client.post(address(of), {"reason": "again"}).status_code == 403


def test_the_admin_shows_why_a_letter_still_cannot_be_taken(page) -> None:
    of = letter(account_id="nobody")
    client = page("view_deadletter", "replay_deadletter")
    assert "there is no such account" in client.post(address(of), {"reason": "try"}).content.decode()
    assert "This field is required" in client.post(address(of), {"reason": ""}).content.decode()


def test_markup_in_a_letter_is_shown_inert(page) -> None:
    of = letter(payload=b"<script>alert(1)</script>")
    shown = page("view_deadletter").get(address(of)).content.decode()
    assert "<script>alert(1)" not in shown
    assert "&lt;script&gt;alert(1)" in shown
