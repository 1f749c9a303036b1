"""The report on decisions: every order with what it was told, and who is given which."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from audit.entries import read_row
from audit.models import OrderDecision
from reports.datasets.decisions import Decisions
from reports.table import Asked
from riskcore.calendar import moment
from tests.audit.subjects import BOOK, NOW_US, decided, inputs
from tests.reports.asking import ALL, cells, chart, column, figure
from tests.support.evidence import keep

pytestmark = pytest.mark.django_db

REPORT = Decisions()
LIMIT = BOOK.policies[0]
NOW = moment(NOW_US)

# Of an account with 100,000: thirty at 50,000 are a leverage of 15.
TOO_MUCH = Decimal(30)


def told(*, later_us: int = 0, columns: dict[str, Any] | None = None, **order: Any) -> OrderDecision:
    """Keep the decision on an order of desk-1 that was asked about so much later, with these columns set otherwise."""
    entry = decided(inputs(**order)).replace(f'"now_us":{NOW_US}'.encode(), f'"now_us":{NOW_US + later_us}'.encode())
    row = read_row(entry)
    assert isinstance(row, OrderDecision)
    for name, value in (columns or {}).items():
        setattr(row, name, value)
    keep(row)
    return row


def of_another_account() -> None:
    told(order_id="theirs", columns={"account_id": "desk-2"})


def test_somebody_for_some_accounts_is_given_no_decision_of_another():
    told(order_id="ours")
    of_another_account()
    mine = frozenset({"desk-1"})
    assert column(REPORT, "order_id", Asked(), mine) == ["ours"]
    assert REPORT.count(Asked(), mine) == 1
    assert figure(REPORT, "Orders asked about", Asked(), mine) == "1"


def test_asking_for_an_account_of_others_gives_nothing():
    of_another_account()
    assert cells(REPORT, Asked(account_id="desk-2"), frozenset({"desk-1"})) == []


def test_a_row_says_what_was_asked_and_what_was_told():
    row = told(order_id="o-1", quantity=TOO_MUCH, strategy_id="s")
    (found,) = cells(REPORT)
    assert found["decided_at"] == NOW
    assert found["decision_id"] == str(row.pk)
    assert (found["order_id"], found["quantity"], found["price"], found["strategy_id"]) == ("o-1", 30, 50000, "s")
    assert (found["decision"], found["approved"], found["reason"]) == ("block", False, "insufficient_margin")
    assert found["violations"] == f"Margin available; {LIMIT.name}"
    assert "need" in found["message"]
    assert found["evidence_batch"] == row.batch
    assert (found["policy_book_version"], found["what_if"]) == (1, False)


def test_an_order_without_a_price_has_none():
    told(price=Decimal(0), order_type="MARKET")
    assert column(REPORT, "price") == [None]


def test_an_answer_that_cannot_be_read_is_said_to_be_so():
    told(columns={"answer": '{"message":'})
    assert column(REPORT, "message") == ["what was answered cannot be read"]


def test_the_oldest_decision_comes_first():
    told(order_id="second", later_us=1)
    told(order_id="first")
    assert column(REPORT, "order_id") == ["first", "second"]


def test_a_period_begins_with_its_first_moment_and_ends_before_its_last():
    for order_id, later_us in (("before", -1), ("first", 0), ("last", 9), ("after", 10)):
        told(order_id=order_id, later_us=later_us)
    asked = Asked(since=NOW, until=NOW + timedelta(microseconds=10))
    assert column(REPORT, "order_id", asked) == ["first", "last"]


def test_a_symbol_may_be_asked_for_in_small_letters():
    told()
    assert len(cells(REPORT, Asked(symbol="btcusdt"))) == 1
    assert cells(REPORT, Asked(symbol="ETHUSDT")) == []


@pytest.mark.parametrize("policy", [LIMIT.id, LIMIT.name])
def test_asked_for_a_policy_come_the_orders_that_broke_it_and_no_other_that_it_bound(policy):
    told(order_id="within")
    told(order_id="too much", quantity=TOO_MUCH)
    assert LIMIT.name in OrderDecision.objects.get(order_id="within").answer, "it is the binding limit"
    asked = Asked(policy=policy)
    assert column(REPORT, "order_id", asked) == ["too much"]
    assert REPORT.count(asked, ALL) == 1


def test_a_name_with_quotes_and_signs_of_searches_finds_its_own_decisions_only():
    book = replace(BOOK, policies=(replace(LIMIT, name='Cap "50%_" é'),))
    keep(read_row(decided(inputs(book, order_id="its own", quantity=TOO_MUCH), book)))
    told(order_id="another", quantity=TOO_MUCH)
    assert column(REPORT, "order_id", Asked(policy='Cap "50%_" é')) == ["its own"]
    assert len(cells(REPORT, Asked(policy=LIMIT.id))) == 2


def test_the_summary_counts_what_ifs_apart():
    told()
    told(quantity=TOO_MUCH)
    told(what_if=True)
    said = {each: figure(REPORT, each) for each in ("Orders asked about", "Approved", "Blocked", "What-ifs")}
    assert said == {"Orders asked about": "2", "Approved": "1", "Blocked": "1", "What-ifs": "1"}


def test_the_charts_count_orders_over_time_by_reason_and_by_account():
    for later_us in (0, 60_000_000):
        told(quantity=TOO_MUCH, later_us=later_us)
    assert chart(REPORT, "Orders not approved per minute").values == (1.0, 1.0)
    assert chart(REPORT, "Orders approved per minute").values == (0.0, 0.0)
    assert chart(REPORT, "Orders not approved, by reason").labels == ("insufficient_margin",)
    assert chart(REPORT, "Orders not approved, by account").values == (2.0,)


def test_the_books_are_those_that_decisions_went_by():
    for version in (3, 5):
        told(columns={"book_version": version})
    assert REPORT.books(Asked(), ALL) == (3, 5)


def test_of_no_decision_there_is_little_to_say():
    assert REPORT.books(Asked(), ALL) is None
    assert cells(REPORT) == []
    assert REPORT.summary(Asked(), ALL).notes == ("No order was asked about.",)
