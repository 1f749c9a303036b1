"""Change requests: what it takes until a change is live, who may do it, and what is kept of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from audit.acting import NotAllowed, NotTheirAccount, acting, system
from audit.append_only import AppendOnlyError
from audit.models import AuditEvent
from policies.errors import NeedsApproval, NotFound, NothingToChange, OwnRequest, StaleEdit, StaleRequest, WrongState
from policies.models import (
    APPROVE_LIMITS,
    CHANGE_LIMITS,
    Account,
    Book,
    CapitalProfile,
    ChangeRequest,
    Policy,
    RestrictedSymbol,
    State,
)
from policies.requests import services
from policies.requests.trying import edits_of, proposed_book, try_edits
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
)
from tests.policies.subjects import account, limit, live_book


def threshold(book: Any, name: str = "Max Account Leverage") -> Decimal:
    found: dict[str, Decimal] = {each.name: each.threshold for each in book.policies}
    return found[name]


# ------------------------------------------------------------------------------------------------ writing
def test_a_draft_changes_no_row_and_makes_no_book(defaults):
    request = leverage("8")
    assert (request.state, request.version, request.author) == (State.DRAFT, 1, "alice")
    assert policy().threshold == 10
    assert policy().history.count() == 1
    assert Book.objects.count() == 1


def test_a_draft_says_what_it_changes(defaults):
    assert leverage("8").title == "Max Account Leverage: threshold 10 → 8"
    assert draft(new_limit()).title == "New policy: Max Order Notional"
    several = draft(setting(policy(), threshold="8"), setting(policy("Max Drawdown"), threshold="0.1"), new_limit())
    assert several.title == "3 policies"


def test_a_draft_without_a_reason_is_refused(defaults):
    with pytest.raises(ValidationError) as refused:
        draft(setting(policy(), threshold="8"), reason=" ")
    assert "reason" in refused.value.message_dict
    assert not ChangeRequest.objects.exists()


def test_a_draft_of_nothing_is_refused(defaults):
    with pytest.raises(ValidationError):
        draft()
    with pytest.raises(NothingToChange):
        leverage("10.00")


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"threshold": "NaN"}, "threshold"),
        ({"threshold": "Infinity"}, "threshold"),
        ({"threshold": "many"}, "threshold"),
        ({"threshold": 8}, "threshold"),
        ({"threshold": 8.5}, "threshold"),
        ({"threshold": None}, "threshold"),
        ({"threshold": "1e400"}, "threshold"),
        ({"enabled": "no"}, "enabled"),
        ({"priority": "7"}, "priority"),
        ({"priority": True}, "priority"),
        ({"scope_ids": "BTCUSDT"}, "scope_ids"),
        ({"owner": "a\0b"}, "owner"),
        ({"version": 7}, "version"),
        ({"colour": "red"}, "colour"),
        ({"metric": "luck"}, "metric"),
    ],
    ids=str,
)
def test_a_value_that_cannot_be_is_refused_by_edit_and_field(defaults, fields, name):
    with pytest.raises(ValidationError) as refused:
        draft(new_limit(), setting(policy(), **fields))
    assert list(refused.value.message_dict) == [f"1.{name}"]
    assert not ChangeRequest.objects.exists()


def test_every_edit_that_is_wrong_is_told(defaults):
    with pytest.raises(ValidationError) as refused:
        draft(new_limit(metric="luck"), setting(policy(), threshold="x"), new_limit(""))
    assert set(refused.value.message_dict) == {"0.metric", "1.threshold", "2.name"}


def test_the_same_row_twice_is_refused(defaults):
    with pytest.raises(ValidationError, match="2 times"):
        draft(setting(policy(), threshold="8"), setting(policy(), enabled=False))


def test_a_row_that_is_not_there_is_said_to_be_missing(defaults):
    for key in ("no uuid", "00000000-0000-4000-8000-000000000000"):
        with pytest.raises(NotFound):
            draft(setting(Policy(pk=key), threshold="8"))


def test_an_edit_of_a_stale_row_says_what_changed_meanwhile(defaults):
    before = policy()
    published(leverage("9"))
    with pytest.raises(StaleEdit, match="threshold 10 → 9"):
        draft(setting(before, threshold="8"))


def test_a_new_row_may_be_named_by_others_of_the_same_request(defaults):
    bounds = {
        "allowed_leverage": "9",
        "max_single_trade_risk": "0.5",
        "max_daily_loss": "0.1",
        "max_weekly_loss": "0.2",
    }
    request = draft(
        new_limit(scope="account", scope_ids=["desk-9"]),
        making("account", "desk-9", profile="wide"),
        making("profile", "wide", **bounds, max_open_positions=3),
    )
    services.do_publish_request(acting=system("test"), **seen(approved(request)))
    assert (Account.objects.get(pk="desk-9").profile_id, CapitalProfile.objects.filter(pk="wide").count()) == (
        "wide",
        1,
    )


def test_trying_says_both_books_and_what_happens_to_each_row(defaults):
    tried = try_edits(edits_of(leverage("8")))
    assert [threshold(tried.before), threshold(tried.after)] == [10, 8]
    (row,) = tried.rows
    assert [str(each) for each in row.changes] == ["threshold 10 → 8"]
    assert "at or below 10" in row.words_before
    assert "at or below 8" in row.words_after
    assert tried.direction == "tightens"


def test_the_proposed_book_is_the_one_that_is_published(defaults):
    request = leverage("8")
    proposed = proposed_book(request)
    made = published(request).book
    assert made is not None
    assert proposed.version == made.version == 2
    assert threshold(proposed) == 8


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


# ------------------------------------------------------------------------------------------------ publishing
def test_several_rows_make_one_book(live):
    request = draft(setting(policy(), threshold="8"), setting(policy("Max Drawdown"), threshold="0.1"), new_limit())
    made = published(request)
    assert Book.objects.count() == 2
    assert made.book is not None
    assert threshold(live_book(live)) == 8
    assert threshold(live_book(live), "Max Drawdown") == Decimal("0.1")
    assert made.request.book == made.book


def test_every_row_has_its_event_that_names_the_request_and_the_book(defaults):
    request = draft(setting(policy(), threshold="8"), new_limit())
    made = published(request, by=CAROL)
    assert made.book is not None
    events = AuditEvent.objects.filter(object_type="policy", actor="carol").order_by("sequence")
    assert [event.action for event in events] == ["policy.change", "policy.create"]
    for event in events:
        assert event.after is not None
        assert (event.reason, event.after["request"]) == ("Review", request.pk)
        assert event.after["book"] == {"version": made.book.version, "sha256": made.book.sha256}
    assert policy().history.latest().history_user == "carol"


def test_a_row_that_changed_meanwhile_makes_it_a_draft_again(live):
    request = submitted(leverage("8"))
    published(leverage("9", by=CAROL), by=CAROL)
    with pytest.raises(StaleEdit, match="changed meanwhile by carol"):
        published(request)
    request.refresh_from_db()
    assert request.state == State.DRAFT
    assert "threshold 10 → 9" in request.problem
    assert threshold(live_book(live)) == 9
    event = AuditEvent.objects.order_by("-sequence")[0]
    assert (event.action, event.actor) == ("request.return", "alice")


def test_a_draft_whose_row_changed_stays_a_draft_with_nothing_noted(defaults):
    request = leverage("8")
    published(leverage("9", by=CAROL), by=CAROL)
    with pytest.raises(StaleEdit):
        published(request)
    assert request.steps.count() == 1


def test_what_is_looser_than_when_it_was_submitted_becomes_a_draft_again(defaults):
    """To switch a limit on that somebody has changed meanwhile is another matter; here the account's profile is."""
    account("desk-1", profile="aggressive")
    request = submitted(draft(setting(Account.objects.get(), kind="account", profile="normal")))
    assert request.state == State.APPROVED
    wide = CapitalProfile.objects.get(pk="aggressive")
    published(draft(setting(wide, kind="profile", allowed_leverage="1"), by=CAROL), by=CAROL)
    with pytest.raises(NeedsApproval):
        published(request)
    request.refresh_from_db()
    assert request.state == State.DRAFT
    assert "somebody else has to approve it" in request.problem


def test_old_approvals_do_not_count_for_what_became_a_draft_again(defaults):
    request = approved(leverage("12"))
    published(leverage("9", by=CAROL), by=CAROL)
    with pytest.raises(StaleEdit):
        published(request)
    request.refresh_from_db()
    request = services.do_edit_request(
        acting=ALICE, reason="Again", edits=[setting(policy(), threshold="12")], **seen(request)
    )
    with pytest.raises(NeedsApproval):
        published(submitted(request))


def test_without_the_live_state_it_is_kept_and_the_person_told(live, away):
    made = published(leverage("8"))
    assert made.live is False
    assert "cannot be reached" in str(made)
    assert policy().threshold == 8


def test_a_request_of_which_several_rows_changed_is_brought_up_to_date_row_by_row(defaults):
    request = draft(setting(policy(), threshold="8"), setting(policy("Max Drawdown"), threshold="0.1"))
    published(
        draft(setting(policy(), threshold="9"), setting(policy("Max Drawdown"), threshold="0.15"), by=CAROL), by=CAROL
    )
    first, second = edits_of(request)
    with pytest.raises(StaleEdit):
        services.do_edit_request(acting=ALICE, reason="Other words", edits=[first, second], **seen(request))
    for edits in (
        [setting(policy(), threshold="8"), second],
        [setting(policy(), threshold="8"), setting(policy("Max Drawdown"), threshold="0.1")],
    ):
        request = services.do_edit_request(acting=ALICE, reason="Again", edits=edits, **seen(request))
    assert published(request).book is not None


# ------------------------------------------------------------------------------------------------- evidence
def test_every_step_is_told_with_who_when_and_why(defaults):
    request = approved(leverage("12"))
    published(request)
    steps = [(step.what, step.actor) for step in request.steps.all()]
    assert steps == [("drafted", "alice"), ("submitted", "alice"), ("approved", "bob"), ("published", "alice")]
    events = AuditEvent.objects.filter(object_type="changerequest", object_id=str(request.pk)).order_by("sequence")
    assert [event.action for event in events] == [
        "request.draft",
        "request.submit",
        "request.approve",
        "request.publish",
    ]
    assert [event.at for event in events] == [step.at for step in request.steps.all()]


def test_a_request_is_not_changed_unseen(defaults):
    request = leverage("8")
    for attempt in (
        request.delete,
        lambda: ChangeRequest.objects.update(state="published"),
        ChangeRequest.objects.all().delete,
        request.steps.all().delete,
        lambda: request.steps.update(actor="bob"),
        request.steps.get().save,
    ):
        with pytest.raises(AppendOnlyError):
            attempt()


# ------------------------------------------------------------------------------------------------ roll back
def test_a_roll_back_is_a_request_with_the_values_there_were(defaults):
    first = draft(setting(policy(), threshold="8", owner="desk"), new_limit())
    published(first)
    request = services.do_roll_back_request(acting=ALICE, request_id=first.pk, reason="Too tight")
    assert (request.reverses_id, request.state) == (first.pk, State.DRAFT)
    assert request.title.startswith("Roll back: ")
    with pytest.raises(NeedsApproval):
        published(request)
    published(approved(request))
    assert policy().threshold == 10
    assert policy().owner == "risk"
    assert not policy("Max Order Notional").enabled


def test_a_roll_back_leaves_what_others_changed_since(defaults):
    first = leverage("8")
    published(first)
    published(draft(setting(policy(), owner="carol"), by=CAROL), by=CAROL)
    published(approved(services.do_roll_back_request(acting=ALICE, request_id=first.pk, reason="Too tight")))
    assert policy().threshold == 10
    assert policy().owner == "carol"


def test_a_roll_back_of_what_was_changed_since_is_refused(defaults):
    first = leverage("8")
    published(first)
    published(leverage("7", by=CAROL), by=CAROL)
    with pytest.raises(StaleEdit, match="threshold 8 → 7"):
        services.do_roll_back_request(acting=ALICE, request_id=first.pk, reason="Too tight")


def test_what_was_taken_back_is_not_taken_back_again(defaults):
    first = leverage("8")
    published(first)
    published(approved(services.do_roll_back_request(acting=ALICE, request_id=first.pk, reason="Too tight")))
    with pytest.raises(WrongState):
        services.do_roll_back_request(acting=ALICE, request_id=first.pk, reason="Too tight")


def test_a_lifted_restriction_comes_back_as_another_one(defaults):
    published(draft(making("restriction", symbol="DOGEUSDT", reason="Delisting")))
    row = RestrictedSymbol.objects.get()
    lifting = draft(setting(row, kind="restriction", active=False))
    published(approved(lifting))
    published(services.do_roll_back_request(acting=ALICE, request_id=lifting.pk, reason="Not yet"))
    assert RestrictedSymbol.objects.filter(symbol="DOGEUSDT", reason="Delisting").count() == 2
    assert RestrictedSymbol.objects.filter(active=True).count() == 1
