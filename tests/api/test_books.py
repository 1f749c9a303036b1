"""Published books over REST."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from policies.models import Book
from tests.api.test_rest import api, trading  # noqa: F401 - fixtures
from tests.api.world import record, swap_keys
from tests.policies.subjects import account, instrument, limit, restriction
from tests.support.tampering import tamper

pytestmark = pytest.mark.django_db(transaction=True)


def test_books_are_listed_with_who_published_them_and_why(api):  # noqa: F811
    made = limit().book
    newest = api("GET", "/risk/books").json()["results"][0]
    assert (newest["version"], newest["published_by"], newest["reason"]) == (made.version, "alice", "because")
    assert (newest["request"], newest["sha256"]) == (None, made.sha256)


def test_books_come_in_pages(api):  # noqa: F811
    limit()
    restriction()
    first = api("GET", "/risk/books?limit=2").json()
    rest = api("GET", f"/risk/books?cursor={first['next']}").json()
    versions = [each["version"] for each in first["results"] + rest["results"]]
    assert versions == list(range(Book.objects.count(), 0, -1))
    assert rest["next"] is None


def test_the_book_of_a_moment_is_the_one_that_checks_went_by(api):  # noqa: F811
    before, made = Book.objects.latest("version"), limit().book
    just_before = (made.created_at - timedelta(microseconds=1)).isoformat().replace("+", "%2B")
    (found,) = api("GET", f"/risk/books?as_of={just_before}").json()["results"]
    assert found["version"] == before.version
    assert api("GET", "/risk/books?as_of=1999-01-01T00:00:00Z").json()["results"] == []


def test_a_book_is_told_whole_in_words_and_with_what_it_changed(api):  # noqa: F811
    made = limit().book
    book = api("GET", f"/risk/books/{made.version}").json()
    (told,) = book["differences"]
    assert (told["part"], told["name"], told["field"]) == ("policies", "Max Order Notional", "added")
    assert (told["direction"], told["why"]) == ("tightens", "a new limit")
    said = {each["name"]: each["in_words"] for each in book["book"]["policies"]}
    assert said["Max Order Notional"] == "Order notional of every order stays at or below 1,000 - hard"


def test_a_book_is_compared_with_any_other(api):  # noqa: F811
    limit()
    made = restriction("XRPUSDT").book
    book = api("GET", f"/risk/books/{made.version}?since={made.version - 2}").json()
    assert [(each["part"], each["field"]) for each in book["differences"]] == [
        ("policies", "added"),
        ("restrictions", "restricted"),
    ]


def test_a_volume_that_nobody_knows_is_left_out_of_a_book_and_null_in_a_difference(api):  # noqa: F811
    instrument("ETHUSDT")
    made = instrument("BTCUSDT", average_daily_volume=Decimal("31250.50")).book
    book = api("GET", f"/risk/books/{made.version}").json()
    volumes = [each.get("average_daily_volume") for each in book["book"]["instruments"]]
    assert volumes == ["31250.5", None]
    (told,) = [each for each in book["differences"] if each["field"] == "average_daily_volume"]
    assert (told["name"], told["before"], told["after"]) == ("BTCUSDT", None, "31250.5")
    assert (told["direction"], told["why"]) == ("neutral", "no limit is on the share of it that an order may be")


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/risk/books/99", 404, "there is no book 99"),
        ("/risk/books/1?since=99", 404, "there is no book 99"),
        ("/risk/books/x", 400, "version"),
        ("/risk/books/0", 400, "version"),
        ("/risk/books?as_of=yesterday", 400, "as_of"),
        ("/risk/books?as_of=2026-01-01T00:00:00", 400, "as_of"),
        ("/risk/books?version=1", 400, "version"),
    ],
)
def test_what_is_no_book_is_refused(api, path, status, said):  # noqa: F811
    answer = api("GET", path)
    assert answer.status_code == status
    assert said in answer.content.decode()


def test_a_book_that_was_changed_is_told_from_one_that_was_published(api):  # noqa: F811
    tamper("""UPDATE policies_book SET content = '{"version":1}' WHERE version = 1""")
    answer = api("GET", "/risk/books/1")
    assert (answer.status_code, answer.json()["code"]) == (500, "book_damaged")
    assert "book 1 cannot be read" in answer.json()["detail"]


def test_a_key_for_some_accounts_sees_nothing_of_the_others(api, store):  # noqa: F811
    account("desk-8", profile="normal")
    made = account("desk-9", profile="normal").book
    swap_keys(store, record(accounts=frozenset({"desk-8"})))
    book = api("GET", f"/risk/books/{made.version}?since=0").json()
    assert [each["id"] for each in book["book"]["accounts"]] == ["desk-8"]
    assert "desk-9" not in str(book)
