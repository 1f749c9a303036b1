"""Who has to agree before a change is live, and who may do what with a request."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from audit.acting import NotAllowed, NotTheirAccount, acting
from audit.models import AuditEvent
from policies.errors import NeedsApproval, NotFound, OwnRequest, StaleRequest, WrongState
from policies.models import (
    APPROVE_LIMITS,
    CHANGE_LIMITS,
    Account,
    CapitalProfile,
    ChangeRequest,
    State,
)
from policies.requests import services
from policies.requests.trying import edits_of
from tests.policies.requesting import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    NOBODY,
    approved,
    draft,
    leverage,
    making,
    new_limit,
    policy,
    published,
    seen,
    setting,
    submitted,
    threshold,
)
from tests.policies.subjects import account, limit, live_book


# --------------------------------------------------------------------------------- who has to agree, or not
def test_who_tightens_publishes_alone(live):
    made = published(leverage("8"))
    assert "Book 2 is live" in str(made)
    assert threshold(live_book(live)) == 8
    assert made.request.state == State.PUBLISHED


def test_what_only_tightens_needs_no_approval_when_it_is_submitted(defaults):
    assert submitted(leverage("8")).state == State.APPROVED


def test_who_loosens_cannot_publish_alone(live):
    request = leverage("12")
    with pytest.raises(NeedsApproval, match="somebody else has to approve"):
        published(request)
    with pytest.raises(NeedsApproval):
        published(submitted(request))
    assert threshold(live_book(live)) == 10
    assert ChangeRequest.objects.get().state == State.SUBMITTED


def test_one_edit_that_loosens_makes_all_of_the_request_need_approval(defaults):
    with pytest.raises(NeedsApproval):
        published(draft(setting(policy(), threshold="8"), setting(policy("Max Drawdown"), threshold="0.3")))


def test_with_the_approval_of_somebody_else_it_goes_live(live):
    request = approved(leverage("12"))
    assert request.state == State.APPROVED
    published(request)
    assert threshold(live_book(live)) == 12


@pytest.mark.parametrize("do", [services.do_approve_request, services.do_reject_request])
def test_nobody_decides_on_what_they_wrote(defaults, do):
    request = submitted(leverage("12", by=DAVE), by=DAVE)
    with pytest.raises(OwnRequest, match="somebody else has to approve"):
        do(acting=DAVE, note="fine", **seen(request))


def test_nobody_approves_with_a_key_what_they_wrote_signed_in(defaults):
    request = submitted(leverage("12"))
    for name in ("alice (key:cli)", "Alice"):
        with pytest.raises(OwnRequest):
            services.do_approve_request(acting=acting(name, [APPROVE_LIMITS]), **seen(request))


def test_nobody_approves_what_they_edited(defaults):
    request = leverage("12")
    edits = edits_of(request)
    request = services.do_edit_request(
        acting=DAVE,
        reason="Better",
        edits=[edits[0].__class__("policy", edits[0].key, 1, {"threshold": "11"})],
        **seen(request),
    )
    with pytest.raises(OwnRequest):
        services.do_approve_request(acting=DAVE, **seen(submitted(request)))
    services.do_approve_request(acting=BOB, **seen(request))


def test_an_edit_resets_approvals(defaults):
    request = approved(leverage("12"))
    request = services.do_edit_request(
        acting=ALICE, reason="More", edits=[setting(policy(), threshold="20")], **seen(request)
    )
    assert request.state == State.DRAFT
    with pytest.raises(NeedsApproval):
        published(request)
    with pytest.raises(NeedsApproval):
        published(submitted(request))


def test_an_approval_of_what_was_edited_meanwhile_is_refused(defaults):
    request = submitted(leverage("12"))
    before = seen(request)
    changed = services.do_edit_request(acting=ALICE, reason="More", edits=[setting(policy(), threshold="20")], **before)
    submitted(changed)
    with pytest.raises(StaleRequest, match="edited meanwhile by alice"):
        services.do_approve_request(acting=BOB, **before)
    assert ChangeRequest.objects.get().state == State.SUBMITTED


def test_an_installation_may_ask_for_two_approvals(defaults, settings):
    settings.RISK_LOOSENING_APPROVALS = 2
    request = approved(leverage("12"))
    assert request.state == State.SUBMITTED
    with pytest.raises(WrongState, match="approved request"):
        services.do_approve_request(acting=BOB, **seen(request))
    with pytest.raises(NeedsApproval, match="somebody else has"):
        published(request)
    assert services.do_approve_request(acting=DAVE, **seen(request)).state == State.APPROVED


def test_an_installation_may_ask_for_approval_of_what_tightens(defaults, settings):
    settings.RISK_TIGHTENING_APPROVALS = 1
    request = submitted(leverage("8"))
    assert request.state == State.SUBMITTED
    with pytest.raises(NeedsApproval):
        published(request)


def test_an_installation_of_one_person_may_ask_for_none(defaults, settings):
    settings.RISK_LOOSENING_APPROVALS = 0
    assert published(leverage("12")).book is not None


# ---------------------------------------------------------------------------------------------- who may do
DOING: dict[str, Any] = {
    "edit": lambda who, request: services.do_edit_request(
        acting=who, reason="Review", edits=[setting(policy(), threshold="7")], **seen(request)
    ),
    "submit": lambda who, request: services.do_submit_request(acting=who, **seen(request)),
    "approve": lambda who, request: services.do_approve_request(acting=who, **seen(request)),
    "reject": lambda who, request: services.do_reject_request(acting=who, note="No", **seen(request)),
    "withdraw": lambda who, request: services.do_withdraw_request(acting=who, **seen(request)),
    "publish": lambda who, request: services.do_publish_request(acting=who, **seen(request)),
    "unschedule": lambda who, request: services.do_unschedule_request(acting=who, **seen(request)),
    "roll back": lambda who, request: services.do_roll_back_request(acting=who, reason="No", request_id=request.pk),
}
_APPROVERS_DO = ("approve", "reject")


@pytest.mark.parametrize("what", DOING)
def test_it_takes_the_permission(defaults, what):
    request = submitted(leverage("12"))
    wrong = acting("wrong", [CHANGE_LIMITS if what in _APPROVERS_DO else APPROVE_LIMITS])
    events = AuditEvent.objects.count()
    for who in (NOBODY, wrong):
        with pytest.raises(NotAllowed):
            DOING[what](who, request)
    assert AuditEvent.objects.count() == events


def test_drafting_takes_the_permission(defaults):
    for who in (NOBODY, BOB):
        with pytest.raises(NotAllowed, match=CHANGE_LIMITS):
            leverage("8", by=who)


@pytest.mark.parametrize("what", DOING)
def test_what_is_withdrawn_stays_so(defaults, what):
    request = services.do_withdraw_request(acting=ALICE, **seen(leverage("12")))
    with pytest.raises(WrongState, match="withdrawn"):
        DOING[what](DAVE, request)


@pytest.mark.parametrize("what", ["edit", "submit", "approve", "reject", "withdraw", "publish", "unschedule"])
def test_what_is_published_stays_so(defaults, what):
    request = published(leverage("8")).request
    with pytest.raises(WrongState, match="published"):
        DOING[what](DAVE, request)


def test_a_request_that_is_not_there_is_said_to_be_missing(defaults):
    with pytest.raises(NotFound):
        services.do_submit_request(acting=ALICE, request_id=77, expected_version=1)


def test_a_rejection_says_why_and_the_request_may_be_edited(defaults):
    request = submitted(leverage("12"))
    with pytest.raises(ValidationError):
        services.do_reject_request(acting=BOB, note=" ", **seen(request))
    request = services.do_reject_request(acting=BOB, note="Too much", **seen(request))
    assert request.state == State.REJECTED
    with pytest.raises(WrongState):
        published(request)
    assert DOING["edit"](ALICE, request).state == State.DRAFT


def test_who_withdraws_what_others_wrote_says_why(defaults):
    request = submitted(leverage("12"))
    with pytest.raises(ValidationError, match="alice wrote this: say why"):
        services.do_withdraw_request(acting=CAROL, note=" ", **seen(request))
    services.do_withdraw_request(acting=CAROL, note="Alice is away", **seen(request))
    assert request.steps.get(what="withdrawn").note == "Alice is away"


def test_who_wrote_or_edited_a_request_withdraws_it_without_a_word(defaults):
    edited = DOING["edit"](CAROL, submitted(leverage("12")))
    assert services.do_withdraw_request(acting=CAROL, **seen(edited)).state == State.WITHDRAWN


def test_who_is_for_some_accounts_changes_nothing_of_others(defaults):
    account("desk-1"), account("desk-2")
    who = acting("erin", [CHANGE_LIMITS], ["desk-1"])
    mine = limit("Mine", scope="account", scope_ids=["desk-1"]).row
    own = (
        setting(mine, threshold="900"),
        setting(Account.objects.get(pk="desk-1"), kind="account", enabled=False),
        making("restriction", symbol="DOGEUSDT", account="desk-1", reason="Mine"),
        new_limit("New", scope="account", scope_ids=["desk-1"]),
    )
    assert published(draft(*own, by=who), by=who).book is not None
    mine.refresh_from_db()
    for edit in (
        setting(policy(), threshold="8"),
        setting(mine, scope="global", scope_ids=[]),
        setting(mine, scope_ids=["desk-1", "desk-2"]),
        setting(Account.objects.get(pk="desk-2"), kind="account", enabled=False),
        setting(CapitalProfile.objects.get(pk="low"), kind="profile", max_open_positions=1),
        making("restriction", symbol="DOGEUSDT", reason="All"),
        making("account", "desk-3", profile="low"),
        new_limit("Other"),
    ):
        with pytest.raises(NotTheirAccount):
            draft(edit, by=who)
    other = leverage("8")
    with pytest.raises(NotTheirAccount):
        services.do_withdraw_request(acting=who, **seen(other))
