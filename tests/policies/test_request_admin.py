"""The inbox and the page of a request: what is to be done, by whom, and where somebody may not, why not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from policies.models import APPROVE_LIMITS, CHANGE_LIMITS, ChangeRequest, State
from policies.requests import services
from policies.requests.finding import open_requests
from tests.policies.requesting import (
    ALICE,
    CAROL,
    approved,
    draft,
    leverage,
    new_limit,
    policy,
    published,
    seen,
    setting,
    submitted,
)
from tests.policies.subjects import live_book

INBOX = reverse("admin:policies_changerequest_changelist")


@pytest.fixture
def alice(signed_in):
    return signed_in("alice", CHANGE_LIMITS)


@pytest.fixture
def bob(signed_in):
    return signed_in("bob", APPROVE_LIMITS)


def page(client: Client, request: ChangeRequest) -> str:
    response = client.get(reverse("admin:policies_changerequest_change", args=(request.pk,)))
    assert response.status_code == 200
    return response.content.decode()


def press(client: Client, what: str, request: ChangeRequest, **given: str) -> Any:
    url = reverse("admin:policies_changerequest_act", args=(request.pk,))
    return client.post(url, {"what": what, "version": request.version, **given}, follow=True)


def said(response: Any) -> str:
    return " ".join(str(each) for each in response.context["messages"])


def state(request: ChangeRequest) -> str:
    return ChangeRequest.objects.get(pk=request.pk).state


# --------------------------------------------------------------------------------------------------- refused
@pytest.mark.parametrize("what", ["submit", "approve", "reject", "publish", "unschedule", "withdraw", "schedule"])
def test_who_may_only_look_presses_in_vain(live, signed_in, what):
    request = submitted(leverage("12"))
    response = press(signed_in("viktor"), what, request, note="No", at="2100-01-01T09:00")
    assert "may not do this" in said(response)
    assert state(request) == State.SUBMITTED


def test_who_wrote_it_presses_approve_in_vain(live, signed_in):
    request = submitted(leverage("12"))
    both = signed_in("alice", CHANGE_LIMITS, APPROVE_LIMITS)
    assert "You wrote this: somebody else has to approve it." in page(both, request)
    assert 'value="approve"' not in page(both, request)
    assert "You wrote this" in said(press(both, "approve", request))
    assert state(request) == State.SUBMITTED


def test_who_saw_another_version_presses_in_vain(live, bob):
    shown = submitted(leverage("12"))
    edited = services.do_edit_request(
        acting=ALICE, reason="More", edits=[setting(policy(), threshold="20")], **seen(shown)
    )
    submitted(edited)
    assert "edited meanwhile by alice" in said(press(bob, "approve", shown))
    assert state(shown) == State.SUBMITTED


def test_a_rejection_without_a_note_is_refused(live, bob):
    request = submitted(leverage("12"))
    assert "Say why" in said(press(bob, "reject", request))
    assert state(request) == State.SUBMITTED


@pytest.mark.parametrize("given", [{"what": "shred", "version": "1"}, {"what": "publish"}, {"version": "1"}], ids=str)
def test_what_no_button_sends_is_refused(live, alice, given):
    request = leverage("8")
    url = reverse("admin:policies_changerequest_act", args=(request.pk,))
    assert alice.post(url, given).status_code == 403
    assert alice.get(url).status_code == 405


def test_a_moment_that_has_passed_or_is_none_is_refused(live, alice):
    request = leverage("8")
    assert "has passed" in said(press(alice, "schedule", request, at="2001-01-01T09:00"))
    assert "Expected a day and a time" in said(press(alice, "schedule", request, at="soon"))
    assert state(request) == State.DRAFT


def test_who_may_not_see_requests_sees_none(live, client):
    client.force_login(User.objects.create(username="nina", is_staff=True))
    assert client.get(reverse("admin:policies_changerequest_change", args=(leverage("8").pk,))).status_code == 403


@pytest.mark.parametrize("number", ["0", "999", "no", "9" * 30])
def test_a_request_that_is_not_there_is_not_found(live, alice, number):
    assert alice.get(reverse("admin:policies_changerequest_change", args=(number,))).status_code == 404


# -------------------------------------------------------------------------------------------------- the way
def test_what_loosens_goes_from_the_officer_to_the_approver_and_back(live, alice, bob):
    request = leverage("12")
    assert "This loosens limits: somebody else has to approve it." in page(alice, request)
    assert 'value="publish"' not in page(alice, request)
    press(alice, "submit", request)
    assert "It waits for you." in page(bob, request)
    press(bob, "approve", request, note="Agreed with the desk")
    assert "Agreed with the desk" in page(alice, request)
    assert "bob approved it." in page(alice, request)
    assert "Book 2 is live" in said(press(alice, "publish", request))
    assert live_book(live).version == 2
    assert "It is live since book 2." in page(alice, request)


def test_a_page_says_both_sides_in_words_and_the_direction_of_each_difference(live, alice):
    shown = page(alice, draft(setting(policy(), threshold="12"), new_limit()))
    assert "Leverage of every account stays at or below 10" in shown
    assert "Leverage of every account stays at or below 12" in shown
    assert "a higher ceiling on leverage" in shown
    assert "No such limit is in force" in shown


def test_a_page_says_what_keeps_a_request_from_being_published(live, alice):
    request = leverage("8")
    published(leverage("9", by=CAROL), by=CAROL)
    shown = page(alice, request)
    assert "changed meanwhile by carol" in shown
    assert 'value="publish"' not in shown
    assert 'value="withdraw"' in shown


def test_a_request_is_scheduled_and_taken_off_again(live, alice):
    request = approved(leverage("12"))
    day = f"{timezone.now() + timedelta(days=1):%Y-%m-%d}"
    assert f"goes live at {day} 09:30 UTC" in said(press(alice, "schedule", request, at=f"{day}T09:30"))
    assert f"{day} 09:30:00 UTC" in page(alice, request)
    press(alice, "unschedule", request)
    assert state(request) == State.APPROVED


def test_a_roll_back_leads_to_the_request_that_does_it(live, alice):
    request = leverage("8")
    published(request)
    response = press(alice, "roll back", request, note="Too tight")
    back = ChangeRequest.objects.get(reverses=request)
    assert response.redirect_chain[-1][0].endswith(f"/{back.pk}/change/")
    assert "somebody else has to approve it" in page(alice, back)


@pytest.mark.parametrize("what", ["withdrawn", "rejected", "published"])
def test_what_is_over_can_still_be_read(live, bob, alice, what):
    request = submitted(leverage("12"))
    if what == "withdrawn":
        press(alice, "withdraw", request)
    elif what == "rejected":
        press(bob, "reject", request, note="Too much")
    else:
        press(bob, "approve", request)
        press(alice, "publish", request)
    assert state(request) == what
    assert "Max Account Leverage" in page(bob, request)


def test_a_request_is_edited_on_the_form_of_its_row(live, alice):
    request = submitted(leverage("12"))
    url = f"{reverse('admin:policies_policy_change', args=(policy().pk,))}?request={request.pk}"
    assert url.replace("&", "&amp;") in page(alice, request)
    form = alice.get(url).context["adminform"].form
    assert (form["threshold"].value(), form["change_reason"].value()) == ("12", "Review")
    sent = {name: form[name].value() for name in form.fields}
    sent = {name: "" if value is None else value for name, value in sent.items()} | {"threshold": "11"}
    alice.post(url, {**sent, "scope_ids": "", "regulatory_tags": ""})
    request.refresh_from_db()
    assert (request.version, request.state, request.edits[0]["fields"]) == (2, State.DRAFT, {"threshold": "11"})
    assert ChangeRequest.objects.count() == 1


def test_the_new_row_of_a_request_is_edited_and_stays_the_same_row(live, alice):
    request = draft(new_limit())
    key = request.edits[0]["key"]
    url = f"{reverse('admin:policies_policy_add')}?request={request.pk}&row={key}"
    form = alice.get(url).context["adminform"].form
    sent = {name: form[name].value() for name in form.fields}
    sent = {name: "" if value is None else value for name, value in sent.items()} | {"threshold": "900"}
    alice.post(url, {**sent, "enabled": "on", "scope_ids": "", "regulatory_tags": ""})
    request.refresh_from_db()
    assert (request.edits[0]["key"], request.edits[0]["fields"]["threshold"]) == (key, "900")


def test_a_form_says_which_requests_change_its_row_already(live, alice):
    url = reverse("admin:policies_policy_change", args=(policy().pk,))
    assert "changes this too" not in alice.get(url).content.decode()
    request = leverage("8", by=CAROL)
    other = draft(setting(policy("Max Drawdown"), threshold="0.1"), by=CAROL)
    services.do_withdraw_request(acting=CAROL, **seen(leverage("7", by=CAROL)))
    shown = alice.get(url).content.decode()
    assert "of carol changes this too" in shown
    assert [each.pk for each in open_requests("policy", str(policy().pk))] == [request.pk]
    assert [each.pk for each in open_requests("policy", str(policy("Max Drawdown").pk))] == [other.pk]
    assert open_requests("profile", str(policy().pk)) == []


# ----------------------------------------------------------------------------------------------- the inbox
def test_the_inbox_begins_with_what_waits_for_whoever_looks(live, alice, bob):
    waiting = submitted(leverage("12"))
    published(draft(setting(policy("Max Drawdown"), threshold="0.1")))
    mine = draft(new_limit())

    def rows(client: Client) -> list[tuple[int, str]]:
        listed = client.get(INBOX).context["cl"]
        return [(row.pk, listed.model_admin.waits_for(row)) for row in listed.result_list]

    assert rows(bob)[0] == (waiting.pk, "your approval")
    assert rows(alice)[0] == (mine.pk, "you to go on")
    assert rows(alice)[1] == (waiting.pk, "")


def test_the_inbox_asks_the_database_as_often_however_long_it_is(live, alice):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert alice.get(INBOX).status_code == 200
        return len(captured)

    leverage("8")
    queries()
    before = queries()
    for number in range(5):
        draft(new_limit(f"Limit {number}"))
    assert queries() == before
