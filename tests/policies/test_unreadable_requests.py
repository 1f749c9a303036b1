"""Requests that nobody can read any more: their page says so, they can be withdrawn, and they are in nobody's way."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from audit.acting import acting
from policies.errors import Unreadable
from policies.models import APPROVE_LIMITS, CHANGE_LIMITS, ChangeRequest, State
from policies.requests import services
from policies.requests.finding import open_requests
from policies.requests.publishing import publish_due
from policies.requests.scope import may_see_request
from tests.policies.requesting import ALICE, approved, leverage, policy, seen, submitted

EDIT = {"kind": "policy", "key": "", "expected_version": 0, "fields": {"name": "x"}}
DAMAGED: dict[str, Any] = {
    "no list": "lost",
    "an edit without a kind": [{"key": "1"}],
    "a kind of another version": [{**EDIT, "kind": "horoscope"}],
    "a field of another version": [{**EDIT, "fields": {"aura": "1"}}],
    "a key that is none": [{**EDIT, "key": "leverage", "expected_version": 1}],
}


@pytest.fixture(params=DAMAGED.values(), ids=list(DAMAGED))
def damaged(request, defaults) -> ChangeRequest:
    return damage(leverage("12"), request.param)


def damage(request: ChangeRequest, edits: Any) -> ChangeRequest:
    """Write into the table what no service would."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE policies_changerequest SET edits = %s WHERE id = %s", [json.dumps(edits), request.pk])
    return ChangeRequest.objects.get(pk=request.pk)


def test_its_page_says_so_and_offers_to_withdraw_it(signed_in, damaged):
    response = signed_in("alice", CHANGE_LIMITS).get(reverse("admin:policies_changerequest_change", args=(damaged.pk,)))
    shown = response.content.decode()
    assert response.status_code == 200
    assert f"What request {damaged.pk} changes cannot be read any more" in shown
    assert "Withdraw it, and ask anew for what is still wanted." in shown
    assert 'value="withdraw"' in shown
    assert 'value="publish"' not in shown


def test_it_is_withdrawn(damaged):
    assert services.do_withdraw_request(acting=ALICE, **seen(damaged)).state == State.WITHDRAWN


def test_what_waits_for_approval_is_rejected_but_not_approved(defaults):
    request = damage(submitted(leverage("12")), DAMAGED["a kind of another version"])
    bob = acting("bob", [APPROVE_LIMITS])
    with pytest.raises(Unreadable):
        services.do_approve_request(acting=bob, **seen(request))
    assert services.do_reject_request(acting=bob, note="Ask anew", **seen(request)).state == State.REJECTED


def test_the_form_of_the_row_is_as_it_was(signed_in, damaged):
    assert open_requests("policy", str(policy().pk)) == []
    address = reverse("admin:policies_policy_change", args=(policy().pk,))
    assert signed_in("alice", CHANGE_LIMITS).get(f"{address}?request={damaged.pk}").status_code == 200


def test_who_is_for_some_accounts_does_not_see_it(damaged):
    assert may_see_request(ALICE, damaged)
    assert not may_see_request(acting("erin", [CHANGE_LIMITS], ["desk-1"]), damaged)


def test_a_scheduled_one_becomes_a_draft_again_that_says_why(defaults):
    request = approved(leverage("12"))
    at = timezone.now() + timedelta(hours=1)
    services.do_publish_request(acting=ALICE, at=at, **seen(request))
    damage(request, DAMAGED["a field of another version"])
    assert publish_due(at) == 0
    request.refresh_from_db()
    assert request.state == State.DRAFT
    assert "cannot be read any more: a policy has no 'aura'" in request.problem
