"""Publishing requests and taking them back: all of it or nothing, and never on top of what nobody saw."""

from __future__ import annotations

from decimal import Decimal

import pytest

from audit.append_only import AppendOnlyError
from audit.models import AuditEvent
from policies.errors import NeedsApproval, StaleEdit, WrongState
from policies.models import (
    Account,
    Book,
    CapitalProfile,
    ChangeRequest,
    Instrument,
    RestrictedSymbol,
    State,
)
from policies.requests import services
from policies.requests.trying import edits_of
from tests.policies.requesting import (
    ALICE,
    CAROL,
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
from tests.policies.subjects import account, live_book


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


def test_what_a_request_has_made_goes_out_of_force_and_a_profile_stays(defaults):
    bounds = {
        "allowed_leverage": "1",
        "max_single_trade_risk": "0.1",
        "max_daily_loss": "0.1",
        "max_weekly_loss": "0.2",
    }
    first = draft(
        making("profile", "narrow", **bounds, max_open_positions=3),
        making("account", "desk-9", profile="narrow"),
        making("instrument", "BTCUSDT", lot_size="0.1", order_types=["LIMIT"]),
        making("restriction", symbol="DOGEUSDT", reason="Delisting"),
    )
    published(approved(first))
    request = services.do_roll_back_request(acting=ALICE, request_id=first.pk, reason="Not now")
    assert {edit.kind for edit in edits_of(request)} == {"account", "instrument", "restriction"}
    published(approved(request))
    instrument = Instrument.objects.get()
    assert instrument.lot_size == 0
    assert instrument.order_types == []
    assert not Account.objects.get().enabled
    assert not RestrictedSymbol.objects.get().active
    assert CapitalProfile.objects.filter(pk="narrow").exists()


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
