"""Books in the admin: each whole, any two compared, as of any moment, and restored by a request."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.models import AccountGrant
from policies import services
from policies.models import Book, ChangeRequest, Policy
from tests.policies.subjects import WHO, account, limit, restriction
from tests.support.tampering import tamper


def person(name: str, *permissions: str) -> User:
    user = User.objects.create(username=name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


@pytest.fixture
def officer(client, db):
    """A browser of somebody who may look at books and ask for changes."""
    client.force_login(person("olga", "view_book", "view_changerequest", "change_limits"))
    return client


@pytest.fixture
def viewer(client, db):
    """A browser of somebody who may look at books."""
    client.force_login(person("viktor", "view_book"))
    return client


def page_of(client: Any, name: str, *args: object, **query: object) -> str:
    response = client.get(reverse(f"admin:policies_book_{name}", args=args), query, follow=True)
    assert response.status_code == 200
    text: str = response.content.decode()
    return " ".join(text.split())


def loosened() -> Book:
    """The book in which the leverage of every account is 20."""
    row = Policy.objects.get(name="Max Account Leverage")
    return services.do_change_policy(**WHO, policy_id=row.pk, expected_version=row.version, threshold=Decimal(20)).book


def test_a_book_says_what_it_changed_who_published_it_and_what_holds(defaults, viewer):
    book = loosened()
    page = page_of(viewer, "change", book.version)
    assert "alice" in page
    assert "because" in page
    assert "a higher ceiling on leverage" in page
    assert "Leverage of every account stays at or below 20 - hard" in page
    assert "none: published by the configuration" in page


def test_a_book_that_was_replaced_says_by_which(defaults, viewer):
    loosened()
    assert "book 2</a>" in page_of(viewer, "change", 1)


def test_what_a_book_says_is_found_by_text(defaults, viewer):
    page = page_of(viewer, "change", 1, q="emergency drawdown")
    assert "Emergency Drawdown Stop" in page
    assert "Max Gross Exposure" not in page


def test_the_book_of_a_moment_is_found_by_day_time_and_zone(defaults, viewer):
    book = loosened()
    at = book.created_at + timedelta(hours=1, seconds=1)
    page = page_of(viewer, "as_of", at=f"{at:%Y-%m-%dT%H:%M:%S}", zone="Etc/GMT-1")
    assert f"This book was in force at {at - timedelta(hours=1):%Y-%m-%d %H:%M:%S} UTC" in page
    assert "Leverage of every account stays at or below 20" in page


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"at": "1999-01-01T00:00"}, "no book was published yet"),
        ({"at": "yesterday"}, "Expected a day and a time"),
        ({"at": ""}, "Expected a day and a time"),
        ({"at": "2026-01-01T00:00", "zone": "Moon/Base"}, "There is no such zone"),
        ({"at": "2026-01-01T00:00", "zone": "../../etc/passwd"}, "There is no such zone"),
        ({"at": "2026-10-25T02:30", "zone": "Europe/Berlin"}, "comes twice"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_moment_that_none_can_tell_is_refused(defaults, viewer, query, said):
    assert said in page_of(viewer, "as_of", **query)


def test_two_books_are_compared_the_older_one_first(defaults, viewer):
    loosened()
    restriction("XRPUSDT")
    page = page_of(viewer, "compare", **{"from": 3, "to": 1})
    assert "From book 1 to book 3" in page
    assert "a higher ceiling on leverage" in page
    assert "orders in it are blocked" in page


@pytest.mark.parametrize(
    "query", [{"from": "1", "to": "99"}, {"from": "x", "to": "1"}, {"from": "1"}, {"from": "²", "to": "1"}]
)
def test_a_book_that_is_not_there_is_not_compared(defaults, viewer, query):
    assert viewer.get(reverse("admin:policies_book_compare"), query).status_code == 404


@pytest.mark.parametrize("number", ["99", "x", "1" * 30])
def test_a_book_that_is_not_there_is_not_shown(defaults, viewer, number):
    assert viewer.get(f"/admin/policies/book/{number}/change/").status_code == 404


def test_a_book_that_was_changed_says_so_on_every_page(defaults, officer):
    loosened()
    tamper("""UPDATE policies_book SET content = '{"version":1}' WHERE version = 1""")
    for page in (
        page_of(officer, "change", 1),
        page_of(officer, "compare", **{"from": 1, "to": 2}),
        page_of(officer, "restore", 1),
    ):
        assert "book 1 cannot be read" in page


def test_a_book_is_restored_by_a_request(defaults, officer):
    loosened()
    shown = page_of(officer, "restore", 1)
    assert "a lower ceiling on leverage" in shown
    response = officer.post(reverse("admin:policies_book_restore", args=(1,)), {"reason": "It was too much"})
    request = ChangeRequest.objects.get()
    assert response["Location"] == reverse("admin:policies_changerequest_change", args=(request.pk,))
    assert (request.title, request.reason, request.author) == ("Restore book 1", "It was too much", "olga")
    assert Policy.objects.get(name="Max Account Leverage").threshold == 20


def test_a_restore_without_a_reason_is_refused(defaults, officer):
    loosened()
    response = officer.post(reverse("admin:policies_book_restore", args=(1,)), {"reason": " "})
    assert "Say why this is changed." in response.content.decode()
    assert not ChangeRequest.objects.exists()


def test_there_is_nothing_to_restore_of_the_book_in_force(defaults, officer):
    assert "there is nothing to change" in page_of(officer, "restore", 1)
    assert "Restore this book" not in page_of(officer, "change", 1)


def test_who_may_not_ask_for_changes_restores_nothing(defaults, viewer):
    loosened()
    assert "Restore this book" not in page_of(viewer, "change", 1)
    address = reverse("admin:policies_book_restore", args=(1,))
    assert viewer.get(address).status_code == 403
    assert viewer.post(address, {"reason": "Review"}).status_code == 403
    assert not ChangeRequest.objects.exists()


@pytest.mark.parametrize("name", ["changelist", "as_of", "compare"])
def test_who_may_not_look_at_books_sees_none(defaults, client, name):
    client.force_login(person("eve", "view_policy"))
    query = {"at": "2026-01-01T00:00", "from": 1, "to": 1}
    assert client.get(reverse(f"admin:policies_book_{name}"), query).status_code == 403
    assert client.get(reverse("admin:policies_book_change", args=(1,))).status_code == 403


def test_who_is_for_some_accounts_sees_no_others(defaults, client):
    account("desk-1")
    account("desk-2")
    limit("Theirs", scope="account", scope_ids=["desk-2"], threshold=Decimal(1))
    user = person("ann", "view_book")
    AccountGrant.objects.create(user=user, account_id="desk-1")
    client.force_login(user)
    page = page_of(client, "change", 4) + page_of(client, "compare", **{"from": 1, "to": 4})
    assert "desk-1" in page
    assert "desk-2" not in page
    assert "Theirs" not in page


def test_a_page_asks_the_database_as_often_however_much_is_in_the_book(defaults, officer):
    def queries(version: int) -> int:
        with CaptureQueriesContext(connection) as captured:
            page_of(officer, "change", version)
        return len(captured)

    first = last = limit("Limit 0").book
    queries(first.version)  # what is asked for once in a process
    before = queries(first.version)
    for number in range(1, 6):
        account(f"desk-{number}")
        last = limit(f"Limit {number}", scope="account", scope_ids=[f"desk-{number}"]).book
    assert queries(last.version) == before
