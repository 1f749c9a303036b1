"""The report on violations: which limit was broken, by how much, for how long, and who is given which."""

from __future__ import annotations

from decimal import Decimal

import pytest

from policies.models import Book
from reports.datasets.violations import Violations
from reports.table import Asked
from tests.reports.asking import ALL, cells, chart, column, figure
from tests.support.evidence import keep
from tests.violations.conftest import quiet
from tests.violations.subjects import at, broken, look, only_violation

__all__ = ["quiet"]

pytestmark = pytest.mark.django_db

REPORT = Violations()


def two_accounts() -> None:
    look(0, broken(), broken(account_id="B"), accounts=("A", "B"))


def test_somebody_for_some_accounts_is_given_no_violation_of_another_or_of_the_firm():
    two_accounts()
    look(1, broken(account_id="", policy_id="p-2"), accounts=("",))
    assert column(REPORT, "account_id", Asked(), frozenset({"B"})) == ["B"]
    assert figure(REPORT, "Violations", Asked(), frozenset({"B"})) == "1"
    assert cells(REPORT, Asked(account_id="A"), frozenset({"B"})) == []
    assert len(cells(REPORT)) == 3


def test_a_row_tells_the_limit_the_worst_value_and_how_long_it_was_broken():
    look(0, broken(12))
    look(1.5, broken(14))
    look(2.25)
    (found,) = cells(REPORT)
    assert (found["opened_at"], found["closed_at"], found["lasted_s"]) == (at(0), at(2.25), Decimal("2.25"))
    assert (found["policy"], found["policy_id"], found["policy_type"]) == ("Max Leverage", "p-1", "hard")
    assert (found["metric"], found["unit"], found["operator"], found["threshold"]) == ("leverage", "x", "<=", 10)
    assert (found["worst_value"], found["worst_utilisation"], found["worst_at"]) == (14, Decimal("1.4"), at(1.5))
    assert (found["observations"], found["found_by"]) == (2, "seen by the monitor")
    assert found["violation_id"] == str(only_violation().pk)


def test_one_that_is_broken_still_has_no_end():
    look(0, broken())
    (found,) = cells(REPORT)
    assert (found["closed_at"], found["lasted_s"]) == (None, None)
    assert figure(REPORT, "Still open") == "1"


def test_a_value_that_is_not_defined_is_empty():
    look(0, broken(None))
    (found,) = cells(REPORT)
    assert (found["worst_value"], found["worst_utilisation"]) == (None, None)


def test_a_period_has_what_stood_in_it_even_if_it_began_before():
    look(0, broken())
    look(10)
    look(20, broken())
    period = Asked(since=at(5), until=at(20))
    assert column(REPORT, "opened_at", period) == [at(0)]
    assert figure(REPORT, "Begun before the period", period) == "1"
    assert column(REPORT, "opened_at", Asked(since=at(11))) == [at(20)]
    assert column(REPORT, "opened_at", Asked(until=at(20))) == [at(0)]


@pytest.mark.parametrize("policy", ["p-1", "Max Leverage"])
def test_asked_for_a_policy_come_its_violations(policy):
    look(0, broken(), broken(policy_id="p-2", policy_name="Max Exposure", metric="gross_exposure"))
    assert column(REPORT, "policy", Asked(policy=policy)) == ["Max Leverage"]


def test_asked_for_a_symbol_come_its_violations():
    look(0, broken(), broken(symbol="BTCUSDT"))
    assert column(REPORT, "symbol", Asked(symbol="btcusdt")) == ["BTCUSDT"]


def test_the_summary_counts_by_type_limit_and_account():
    two_accounts()
    look(1, broken(), broken(policy_type="soft", policy_name="Warning", policy_id="p-3"))
    assert (figure(REPORT, "Of hard limits"), figure(REPORT, "Of soft limits")) == ("2", "1")
    assert figure(REPORT, "Accounts concerned") == "2"
    assert chart(REPORT, "Violations by limit").labels == ("Max Leverage", "Warning")
    assert chart(REPORT, "Violations by account").values == (2.0, 1.0)
    assert sum(chart(REPORT, "Limits first seen broken per minute").values) == 3


def test_what_is_not_kept_is_said(settings):
    assert REPORT.summary(Asked(), ALL).notes == ()
    settings.RISK_VIOLATION_HISTORY_DAYS = 30
    (note,) = REPORT.summary(Asked(), ALL).notes
    assert "30 days" in note


def test_the_books_are_those_in_force_meanwhile():
    for version, moment in ((1, at(-9)), (2, at(-1)), (3, at(5)), (4, at(99))):
        keep(Book(version=version, content="{}", sha256="", created_at=moment, actor="a", reason="r"))
    look(0, broken())
    look(6, broken())
    assert REPORT.books(Asked(), ALL) == (2, 3)


def test_of_no_violation_there_is_little_to_say():
    assert REPORT.books(Asked(), ALL) is None
    assert figure(REPORT, "Violations") == "0"
    assert figure(REPORT, "Times that an order was stopped by a limit") == "0"
