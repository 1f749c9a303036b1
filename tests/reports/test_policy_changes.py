"""The report on policy changes: what it was and is, who asked, approved and published, and where it is in the chain."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from audit.acting import acting
from audit.models import AuditEvent
from audit.services import record
from policies.models import CHANGE_LIMITS, Book, RequestStep, Step
from policies.requests import services
from reports.datasets.policy_changes import PolicyChanges
from reports.table import Asked
from tests.policies.requesting import (
    ALICE,
    BOB,
    approved,
    draft,
    leverage,
    making,
    new_limit,
    policy,
    published,
    seen,
    setting,
)
from tests.reports.asking import ALL, cells, chart, column, figure

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("defaults")]

REPORT = PolicyChanges()
LEVERAGE = "Max Account Leverage"


@pytest.fixture
def loosened() -> AuditEvent:
    """The event of a leverage of 12, which bob has approved."""
    made = published(approved(leverage("12"))).request
    return AuditEvent.objects.get(action="policy.change", after__request=made.pk)


def row(event: AuditEvent) -> dict[str, object]:
    (found,) = (each for each in cells(REPORT) if each["sequence"] == event.pk)
    return found


def test_a_change_tells_the_limit_before_and_after(loosened):
    found = row(loosened)
    assert (found["object"], found["object_id"]) == (LEVERAGE, str(policy().pk))
    assert (found["limit_before"], found["limit_after"]) == (Decimal(10), Decimal(12))
    assert found["difference"] == "threshold: 10 -> 12"
    assert (found["metric"], found["applies_to"]) == ("leverage", "global")


def test_a_change_names_its_request_with_who_wrote_and_who_approved_it(loosened):
    found = row(loosened)
    step = RequestStep.objects.get(request=loosened.after["request"], what=Step.APPROVED)
    assert (found["asked_by"], found["approved_by"], found["approved_at"]) == ("alice", "bob", step.at)
    assert (found["actor"], found["reason"], found["direction"]) == ("alice", "Review", "loosens")


def test_a_change_names_the_book_that_it_made(loosened):
    newest = Book.objects.latest("version").version
    assert row(loosened)["policy_book_version"] == newest
    assert REPORT.books(Asked(), ALL) == (1, newest)


def test_a_change_is_found_in_the_chain_by_its_number_and_hash(loosened):
    assert row(loosened)["hash"] == loosened.hash


def test_an_approval_of_another_version_of_a_request_is_none():
    edits = [setting(policy(), threshold="9")]
    services.do_edit_request(acting=ALICE, **seen(approved(leverage("12"))), reason="Lower", edits=edits)
    (found,) = (each for each in cells(REPORT) if each["action"] == "request.edit")
    assert found["approved_by"] is None


def test_an_approval_is_not_told_of_before_it_was_given():
    published(approved(leverage("12")))
    by_action = {each["action"]: each["approved_by"] for each in cells(REPORT) if each["kind"] == "change request"}
    assert (by_action["request.submit"], by_action["request.approve"]) == (None, "bob")


def test_what_is_new_is_told_whole():
    made = published(draft(new_limit())).request
    event = AuditEvent.objects.get(action="policy.create", after__request=made.pk)
    found = row(event)
    assert (found["limit_before"], found["limit_after"]) == (None, Decimal(1000))
    assert "name: Max Order Notional" in str(found["difference"])
    assert "->" not in str(found["difference"])


def test_changes_that_no_request_asked_for_are_counted():
    without = AuditEvent.objects.filter(after__request__isnull=True).count()
    assert without > 0
    published(approved(leverage("12")))
    assert figure(REPORT, "Changes that no request asked for") == f"{without:,}"


def test_what_happens_to_people_is_of_another_report():
    record(actor="a", action="user.change", object_type="user", object_id=1, object_label="a", reason="r")
    assert "user.change" not in column(REPORT, "action")


@pytest.mark.parametrize("by", ["id", "name"])
def test_asked_for_a_policy_come_its_changes_and_the_steps_of_their_requests(by, loosened):
    published(approved(draft(setting(policy("Max Open Positions"), threshold="200"))))
    found = cells(REPORT, Asked(policy=str(getattr(policy(), by))))
    assert {each["action"] for each in found} == {
        *("policy.create", "policy.change"),
        *("request.draft", "request.submit", "request.approve", "request.publish"),
    }
    assert {each["request"] for each in found} == {None, loosened.after["request"]}


def test_a_policy_is_found_by_a_name_that_it_had_once():
    published(draft(setting(policy(), name="Leverage of the desk")))
    assert "policy.create" in column(REPORT, "action", Asked(policy=LEVERAGE))
    assert "policy.create" in column(REPORT, "action", Asked(policy="leverage of the DESK"))


def test_a_request_that_was_never_published_is_found_by_what_it_asked_for():
    leverage("12")
    assert column(REPORT, "action", Asked(policy=str(policy().pk))) == ["policy.create", "request.draft"]


def test_asked_for_an_account_come_the_changes_that_name_it():
    published(approved(draft(making("account", "desk-1", profile="low"))))
    published(draft(new_limit(scope="account", scope_ids=["desk-1"])))
    actions = column(REPORT, "action", Asked(account_id="desk-1"))
    assert {"account.create", "policy.create", "request.publish"} <= set(actions)
    assert column(REPORT, "action", Asked(account_id="desk")) == []
    assert REPORT.summary(Asked(account_id="desk-1"), ALL).notes


def test_asked_for_a_symbol_come_the_changes_that_name_it():
    found = column(REPORT, "object", Asked(symbol="btcusdt"))
    assert len(found) == 1
    assert "BTCUSDT" in found[0]


def test_asked_for_a_person_come_what_they_did_themselves():
    published(approved(leverage("12")))
    assert column(REPORT, "action", Asked(actor="bob")) == ["request.approve"]


def test_a_period_has_its_own_events_only(loosened):
    assert column(REPORT, "action", Asked(since=timezone.now() + timedelta(days=1))) == []
    assert "policy.create" not in column(REPORT, "action", Asked(since=loosened.at))


def test_the_summary_tells_of_requests_by_their_direction(loosened):
    published(leverage("5"))
    assert figure(REPORT, "Requests published") == "2"
    assert figure(REPORT, "Published, loosens") == "1"
    assert figure(REPORT, "Published, tightens") == "1"
    assert figure(REPORT, "Requests approved") == "1"
    assert "bob" in chart(REPORT, "By who did it").labels
    assert sum(chart(REPORT, "By what was changed").values) == REPORT.count(Asked(), ALL)


def test_of_no_event_there_is_little_to_say():
    later = Asked(since=timezone.now() + timedelta(days=1))
    assert REPORT.books(later, ALL) is None
    assert figure(REPORT, "Requests published", later) == "0"


def test_a_rejected_request_says_who_rejected_it():
    request = services.do_submit_request(acting=ALICE, **seen(leverage("12")))
    services.do_reject_request(acting=BOB, **seen(request), note="No")
    (found,) = (each for each in cells(REPORT) if each["action"] == "request.reject")
    assert (found["actor"], found["reason"]) == ("bob", "No")


def test_asked_for_a_person_or_a_key_come_what_was_done_with_the_key_that_they_hold():
    published(leverage("5", by=acting("alice (key:cli)", [CHANGE_LIMITS])), by=acting("key:cli", [CHANGE_LIMITS]))
    of_alice = column(REPORT, "action", Asked(actor="alice"))
    assert of_alice == ["request.draft"]
    assert len(column(REPORT, "action", Asked(actor="key:cli"))) > len(of_alice)
    assert column(REPORT, "action", Asked(actor="ali")) == []
