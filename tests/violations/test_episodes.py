"""A violation is an episode: opened once, continued with each look, closed when the limit is seen to hold."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from tests.violations.subjects import at, broken, look, only_violation
from violations.models import Violation
from violations.observations import is_worse
from violations.services import observe

pytestmark = pytest.mark.django_db


# ----------------------------------------------------------------------------------------- what changes nothing
def test_a_moment_that_was_looked_at_before_counts_once():
    look(1, broken())
    again = look(1, broken("99"))
    assert (len(again.opened), again.continued) == (0, 0)
    assert (only_violation().observations, only_violation().worst_value) == (1, Decimal(12))


def test_what_a_late_process_saw_earlier_counts_for_nothing():
    look(5, broken())
    late = look(3, broken("99"))
    assert (late.continued, only_violation().last_at) == (0, at(5))


def test_a_late_process_does_not_close_what_was_seen_after_it_looked():
    look(5, broken())
    look(3)
    assert only_violation().closed_at is None


def test_a_late_process_does_not_open_again_what_is_over():
    look(1, broken())
    look(7)
    assert not look(5, broken()).opened
    assert only_violation().closed_at == at(7)


def test_an_account_that_was_not_seen_stays_as_it_is():
    look(1, broken())
    look(2, accounts=("B",))
    look(3, accounts=())
    assert only_violation().closed_at is None


def test_the_database_refuses_a_second_open_episode():
    look(1, broken())
    row = only_violation()
    row.pk = None
    row._state.adding = True
    with pytest.raises(IntegrityError, match=r"(?i)unique"), transaction.atomic():
        row.save()


@pytest.mark.parametrize(
    "wrong", [{"observations": 0}, {"last_at": at(-9)}, {"closed_at": at(-9)}, {"kind": "x"}, {"policy_type": "x"}]
)
def test_the_database_refuses_what_no_episode_is(wrong):
    look(1, broken())
    with pytest.raises(IntegrityError), transaction.atomic():
        Violation.objects.update(**wrong)


# ------------------------------------------------------------------------------------------------- its life
def test_it_is_opened_continued_and_closed():
    assert [row.key.account_id for row in look(1, broken("12")).opened] == ["A"]
    assert look(2, broken("15")).continued == 1
    assert look(3, broken("11")).continued == 1
    assert len(look(4).closed) == 1
    row = only_violation()
    assert (row.opened_at, row.last_at, row.closed_at, row.observations) == (at(1), at(3), at(4), 3)
    assert (row.value, row.worst_value, row.worst_at) == (Decimal(11), Decimal(15), at(2))
    assert (row.utilisation, row.worst_utilisation) == (Decimal("1.1"), Decimal("1.5"))


def test_a_limit_broken_again_is_another_episode():
    for second, found in enumerate([[broken()], [], [broken()]]):
        look(second, *found)
    assert Violation.objects.count() == 2
    assert Violation.objects.filter(closed_at=None).get().opened_at == at(2)


@pytest.mark.parametrize("other", [{"policy_id": "p-2"}, {"account_id": "B"}, {"symbol": "X"}, {"exchange": "E"}])
def test_each_policy_account_symbol_and_exchange_has_its_own(other):
    look(1, broken(), broken(**other))
    look(2, broken(), accounts=("A", "B"))
    assert Violation.objects.filter(closed_at=None).count() == 1
    assert Violation.objects.count() == 2


@pytest.mark.parametrize("other", [{"metric": "concentration"}, {"operator": "<"}, {"policy_type": "soft"}])
def test_a_policy_that_is_about_something_else_now_begins_another(other):
    look(1, broken())
    seen = look(2, broken(**other))
    assert (len(seen.opened), len(seen.closed)) == (1, 1)


def test_a_new_threshold_goes_on_with_the_episode():
    look(1, broken())
    look(2, broken(threshold=Decimal(11), policy_version=2))
    assert (only_violation().threshold, only_violation().policy_version) == (Decimal(11), 2)


def test_the_firm_is_an_account_without_a_name():
    look(1, broken(account_id=""), accounts=("",))
    look(2, accounts=("",))
    assert only_violation().closed_at == at(2)


# ------------------------------------------------------------------------------------------- the worst value
@pytest.mark.parametrize(
    ("operator", "values", "worst"),
    [
        ("<=", ["11", "14", "12"], "14"),
        ("<", ["11", "14", "12"], "14"),
        (">=", ["9", "3", "5"], "3"),
        (">", ["9", "-3", "5"], "-3"),
        ("==", ["11", "4", "15"], "4"),
        ("!=", ["10", "10"], "10"),
    ],
)
def test_the_worst_value_goes_by_the_operator(operator, values, worst):
    for second, value in enumerate(values):
        look(second, broken(value, operator=operator))
    assert only_violation().worst_value == Decimal(worst)


def test_nothing_is_worse_than_a_value_that_is_not_defined():
    for second, value in enumerate(["12", None, "99"]):
        look(second, broken(value))
    row = only_violation()
    assert (row.worst_value, row.worst_at, row.value) == (None, at(1), Decimal(99))


def test_the_same_value_is_no_worse():
    assert not is_worse("<=", Decimal(10), Decimal(12), Decimal(12))
    assert not is_worse("<=", Decimal(10), None, None)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("0.3333333333333333333333", Decimal("0.333333333333")),
        ("1e30", Decimal("99999999999999999999.999999999999")),
        ("-1e30", Decimal("-99999999999999999999.999999999999")),
        ("Infinity", None),
    ],
)
def test_a_value_that_no_column_holds_is_kept_as_near_as_can_be(value, kept):
    look(1, broken(value))
    assert only_violation().worst_value == kept


@pytest.mark.parametrize("name", ["NULL", '{a,"b"}', "\\", "it's %s", "日本", " "])
def test_names_are_kept_to_the_letter(name):
    for second in range(2):
        look(second, broken(policy_name=name, symbol=name, message=name))
    row = only_violation()
    assert (row.policy_name, row.symbol, row.message, row.observations) == (name, name, name, 2)
    assert row.alerts.get().message == name


# ---------------------------------------------------------------------------------------------------- size
def test_many_accounts_take_hardly_more_queries_than_few():
    def queries(count: int, second: int) -> int:
        found = [broken(account_id=f"{count}-{number}", at=at(second)) for number in range(count)]
        with CaptureQueriesContext(connection) as captured:
            observe(found, {each.account_id for each in found}, at(second))
        return len(captured)

    # SQLite takes a thousand values at a time, of which a row has some dozens.
    assert queries(300, 1) <= queries(3, 1) + 15
    assert queries(300, 2) <= queries(3, 2) + 15


def test_a_quiet_look_at_many_accounts_asks_the_database_next_to_nothing():
    with CaptureQueriesContext(connection) as captured:
        observe([], {str(number) for number in range(10_000)}, at(0))
    assert len([each for each in captured if "SELECT" in each["sql"]]) == 1
