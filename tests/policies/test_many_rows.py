"""Requests of many rows: written, tried, published and taken back in as many statements as those of a few."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.acting import acting
from audit.models import AuditEvent
from audit.verify import verify_chain
from policies.edits import Edit
from policies.models import CHANGE_LIMITS, Account, Book, ChangeRequest, Policy
from policies.requests.services import do_roll_back_request
from policies.requests.stating import tried_or_why
from tests.policies.requesting import ALICE, approved, draft, making, new_limit, policy, published, setting, submitted
from tests.policies.subjects import limit

# All rows of a kind fit into one statement, and so do their events.
FEW, MANY = 3, 200


def statements(do: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as captured:
        do()
    return len(captured)


def desks(first: int, count: int) -> list[Edit]:
    return [making("account", f"desk-{number}", profile="normal") for number in range(first, first + count)]


def limits_of(edits: list[Edit]) -> list[Edit]:
    of = {"metric": "leverage", "scope": "account"}
    return [new_limit(f"Leverage of {each.key}", **of, threshold="3", scope_ids=[each.key]) for each in edits]


def tightened() -> list[Edit]:
    return [setting(row, threshold="2") for row in Policy.objects.filter(name__startswith="Leverage of desk")]


def test_every_step_of_many_new_rows_takes_as_many_statements_as_of_a_few(defaults):
    def steps(first: int, count: int) -> list[int]:
        made = desks(first, count)
        edits = [*made, *limits_of(made)]
        asked = draft(*edits)
        counts = [statements(lambda: draft(*edits)), statements(lambda: approved(asked))]
        asked.refresh_from_db()
        counts.append(statements(lambda: published(asked)))
        asked.refresh_from_db()
        return [*counts, statements(lambda: tried_or_why(asked))]

    assert steps(0, FEW) == steps(1000, MANY)


def test_every_step_of_many_changed_rows_takes_as_many_statements_as_of_a_few(defaults):
    made = desks(0, MANY)
    published(approved(draft(*made, *limits_of(made))))

    def steps(count: int, threshold: str) -> list[int]:
        rows = Policy.objects.filter(name__startswith="Leverage of desk").order_by("pk")[:count]
        edits = [setting(row, threshold=threshold) for row in rows]
        asked = draft(*edits)
        counts = [statements(lambda: draft(*edits)), statements(lambda: submitted(asked))]
        asked.refresh_from_db()
        counts.append(statements(lambda: published(asked)))
        asked.refresh_from_db()
        counts.append(statements(lambda: tried_or_why(asked)))
        return [*counts, statements(lambda: do_roll_back_request(acting=ALICE, request_id=asked.pk, reason="Back"))]

    assert steps(FEW, "2.5") == steps(MANY, "2")


def test_who_is_for_some_accounts_asks_for_many_rows_with_as_many_statements(defaults):
    made = desks(0, MANY)
    published(approved(draft(*made)))
    for_some = acting("eve", [CHANGE_LIMITS], accounts=[each.key for each in made])

    def steps(count: int) -> int:
        rows = Account.objects.order_by("pk")[:count]
        return statements(lambda: draft(*(setting(row, "account", name="x") for row in rows), by=for_some))

    assert steps(FEW) == steps(MANY)


def test_each_of_many_rows_has_its_history_and_its_event_in_the_chain(defaults):
    made = desks(0, FEW)
    published(approved(draft(*made, *limits_of(made))))
    published(draft(*tightened()))
    rows = Policy.objects.filter(name__startswith="Leverage of desk")
    assert [row.version for row in rows] == [2] * FEW
    for row in rows:
        past = row.history.order_by("version")
        assert [(each.version, each.history_type, each.history_user) for each in past] == [
            (1, "+", "alice"),
            (2, "~", "alice"),
        ]
        events = AuditEvent.objects.filter(object_id=str(row.pk)).order_by("sequence")
        assert [(each.action, (each.before or {}).get("threshold")) for each in events] == [
            ("policy.create", None),
            ("policy.change", "3"),
        ]
        assert [(each.after or {})["threshold"] for each in events] == ["3", "2"]
    assert verify_chain().broken_at is None


def test_one_wrong_row_of_many_keeps_all_of_them_out(defaults):
    books = Book.objects.count()
    wrong = making("account", "desk-9", profile="nobodys")
    with pytest.raises(ValidationError) as refused:
        draft(*desks(0, FEW), wrong)
    assert list(refused.value.message_dict) == ["3.profile"]
    assert not Account.objects.exists()
    assert (Book.objects.count(), ChangeRequest.objects.count()) == (books, 0)


def test_a_new_row_does_not_go_over_one_that_is_there(defaults):
    published(approved(draft(*desks(0, 1))))
    with pytest.raises(ValidationError) as refused:
        draft(making("account", "desk-0", profile="micro"))
    assert list(refused.value.message_dict) == ["0.id"]


def test_a_name_goes_from_one_row_to_the_next_in_one_request(defaults):
    limit("A"), limit("B")
    published(draft(setting(policy("B"), name="C"), setting(policy("A"), name="B")))
    assert {"B", "C"} <= set(Policy.objects.values_list("name", flat=True))
    assert not Policy.objects.filter(name="A").exists()
    published(draft(setting(policy("C"), name="D"), new_limit("C")))
    assert Policy.objects.filter(name="C").exists()


@pytest.mark.parametrize("names", [("B", "C"), ("C", "C")], ids=["taken", "twice"])
def test_a_name_that_another_row_has_is_refused(defaults, names):
    limit("A"), limit("B")
    edits = [setting(policy("A"), name=names[0]), setting(policy("B"), name=names[1])]
    with pytest.raises(ValidationError) as refused:
        draft(*edits)
    assert "already exists" in str(refused.value)


def test_of_two_new_rows_of_one_name_the_second_is_refused(defaults):
    with pytest.raises(ValidationError) as refused:
        draft(new_limit("Same"), new_limit("Same"))
    assert list(refused.value.message_dict) == ["1.name"]


def test_the_lists_take_as_many_statements_of_a_thousand_rows_as_of_a_few(defaults, admin_client):
    lists = ("policy", "account", "restrictedsymbol", "changerequest", "book")

    def add(first: int, count: int) -> None:
        made = desks(first, count)
        restrictions = [making("restriction", symbol=f"S{first}X{number}", reason="x") for number in range(count)]
        asked = approved(draft(*made, *limits_of(made), *restrictions))
        published(asked)

    def looks() -> list[int]:
        return [statements(lambda name=name: look(name)) for name in lists]  # type: ignore[misc]

    def look(name: str) -> None:
        assert admin_client.get(f"/admin/policies/{name}/").status_code == 200

    add(0, 10)
    looks()  # what is asked for once in a process
    before = looks()
    add(1000, 1000)
    assert looks() == before
