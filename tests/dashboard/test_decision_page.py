"""The page of a decision: the answer in a sentence, every gate and every limit, worked out again from the record."""

from __future__ import annotations

from decimal import Decimal
from uuid import uuid4

from django.db import connection

from audit.models import ReservationEnd
from dashboard import deciding
from emergency.words import Trigger
from riskcore.types import Side
from tests.dashboard.world import MARKUP, big, decided, order, signed_in
from tests.emergency.world import engage, long
from tests.support.evidence import keep

DECISION = "audit.view_orderdecision"


def page_of(row) -> str:
    return f"/decisions/{row.pk}/"


def test_who_may_not_see_decisions_is_refused(world):
    row = decided(world)
    reader = signed_in("rita", "policies.view_account")
    assert "audit.view_orderdecision" in reader.read(page_of(row), 403)
    assert "audit.view_orderdecision" in reader.read("/decisions/", 403)


def test_a_decision_of_another_account_is_as_little_there_as_one_that_never_was(world):
    row = decided(world, account_id="desk-2")
    reader = signed_in("dora", DECISION, accounts=("desk-1",))
    reader.get(page_of(row), 404)
    reader.get(f"/decisions/{uuid4()}/", 404)


def test_a_stop_of_another_account_is_not_in_what_is_shown_of_its_inputs(world, vera):
    engage(scope="account", scope_id="desk-2")
    engage(scope="account", scope_id="desk-1")
    row = decided(world)
    assert "desk-2" in vera.read(page_of(row))
    page = signed_in("dora", DECISION, accounts=("desk-1",)).read(page_of(row))
    assert "desk-2" not in page
    assert "HALTED, account desk-1" in page


def test_a_block_says_in_a_sentence_why_and_what_would_pass(world, vera):
    row = decided(world, big())
    page = vera.read(page_of(row))
    said = page.partition("<h1")[2].partition("</h1>")[0]
    assert "Blocked: insufficient margin" in said or "Blocked: Max" in said
    assert "would pass." in said
    assert "the same to the letter" in page
    assert row.answer not in page  # it is laid out, and its markup is inert


def test_every_gate_and_limit_is_told_in_its_order(world, vera):
    page = vera.read(page_of(decided(world, big())))
    names = ("The order makes sense", "No stop covers it", "Margin is available", "Limits after the trade")
    places = [page.index(name) for name in names]
    assert places == sorted(places)
    assert 'data-effect="blocks"' in page
    assert "Max Account Leverage" in page


def test_after_the_gate_that_stopped_it_none_was_reached_and_the_stop_is_named(world, vera):
    made = engage(trigger=Trigger.PERSON)
    page = vera.read(page_of(decided(world)))
    assert "trading is HALTED for this order" in page
    assert 'data-passage="not_reached"' in page
    assert f"/emergency/{made.stop_id}/" in page
    assert "No limit was looked at" in page


def test_an_approval_says_what_it_reserved_and_what_became_of_it(world, vera):
    row = decided(world)
    assert "0.001 still reserved" in vera.read(page_of(row))
    keep(
        ReservationEnd(
            decision_id=row.pk,
            account_id=row.account_id,
            order_id=row.order_id,
            actor="bob",
            reason="gone",
            ended_at=row.decided_at,
        )
    )
    assert "bob: gone" in vera.read(page_of(row))


def test_what_an_order_reduces_is_not_asked_of_it(world, vera):
    world.feed(long("BTCUSDT", "1"), account_id="desk-1")
    page = vera.read(page_of(decided(world, order(side=Side.SELL, quantity=Decimal("0.5")))))
    assert "not asked: it reduces" in page


def test_the_state_the_prices_and_the_book_it_was_decided_by_are_told(world, vera):
    row = decided(world)
    page = vera.read(page_of(row))
    assert f"Book {row.book_version}" in page
    assert "BTCUSDT" in page
    assert "ms old" in page
    assert "1,000,000" in page


def test_a_decision_whose_book_is_gone_says_so(world, vera, monkeypatch):
    row = decided(world)
    monkeypatch.setattr(deciding, "loaded", _gone)
    deciding._compiled.cache_clear()
    page = vera.read(page_of(row))
    assert "It cannot be worked out again." in page
    assert "gone" in page
    assert "Gates, in their order" not in page


def _gone(version: int) -> None:
    raise ValueError(f"book {version} is gone")


def test_a_decision_that_comes_out_otherwise_says_what_differs(world, vera):
    row = decided(world)
    altered = row.answer.replace('"risk_level":"INFO"', '"risk_level":"CRITICAL"')
    with connection.cursor() as cursor:
        _without_guards(cursor, row, altered)
    page = vera.read(page_of(row))
    assert "Worked out again it comes out otherwise." in page
    assert "recorded CRITICAL, now INFO" in page


def _without_guards(cursor, row, answer: str) -> None:
    cursor.execute("SET session_replication_role = replica")
    cursor.execute("UPDATE audit_orderdecision SET answer = %s WHERE decision_id = %s", [answer, row.pk])
    cursor.execute("SET session_replication_role = origin")


def test_names_full_of_markup_are_inert(world, vera):
    row = decided(world, order(order_id=MARKUP[:60], strategy_id=MARKUP[:60]))
    page = vera.read(page_of(row))
    assert "<script>alert" not in page
    assert "<img" not in page.replace('<img src="/static', "")
    assert "<script>alert" not in vera.read("/decisions/")


def test_the_list_is_of_the_accounts_that_one_is_for_and_of_what_was_asked_for(world, vera):
    mine, other = decided(world, account_id="desk-1"), decided(world, big(account_id="desk-2"))
    assert [row.pk for row in vera.get("/decisions/").context["rows"]] == [other.pk, mine.pk]
    assert [row.pk for row in vera.get("/decisions/?approved=false&since=").context["rows"]] == [other.pk]
    reader = signed_in("dora", DECISION, accounts=("desk-1",))
    assert [row.pk for row in reader.get("/decisions/").context["rows"]] == [mine.pk]
    assert list(reader.get("/decisions/?account_id=desk-2").context["rows"]) == []


def test_a_filter_that_is_not_understood_is_told_beside_its_field(world, vera):
    page = vera.read("/decisions/?reason=bad&since=never", 400)
    assert "Reason is not a reason code" in page
    assert "Since (UTC) must be a moment" in page


def test_the_list_is_read_a_page_at_a_time(world, vera):
    rows = [decided(world) for _ in range(53)]
    first = vera.get("/decisions/?symbol=btcusdt")
    assert len(first.context["rows"]) == 50
    second = vera.get(f"/decisions/{first.context['older']}")
    assert [row.pk for row in second.context["rows"]] == [row.pk for row in rows[2::-1]]
    assert vera.get("/decisions/?cursor=x", 400).context["rows"] == []


def test_without_any_decision_the_list_says_how_to_ask(world, vera):
    assert "POST /risk/check" in vera.read("/decisions/")
    assert "No decision matches" in vera.read("/decisions/?symbol=ETHUSDT")


def test_the_pages_take_as_many_queries_for_many_decisions_as_for_one(world, vera):
    row = decided(world)
    pages = ("/decisions/", page_of(row))
    few = list(map(vera.queries, pages))
    for number in range(11):
        decided(world, account_id=f"desk-{1 + number % 5}")
    assert list(map(vera.queries, pages)) == few
