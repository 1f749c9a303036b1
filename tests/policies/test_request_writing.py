"""What a change request may say: refused by edit and field where it could not be published, tried without a trace."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from audit.acting import system
from policies.errors import NotFound, NothingToChange, StaleEdit
from policies.models import (
    Account,
    Book,
    CapitalProfile,
    ChangeRequest,
    Policy,
    State,
)
from policies.requests import services
from policies.requests.trying import edits_of, proposed_book, try_edits
from tests.policies.requesting import (
    approved,
    draft,
    leverage,
    making,
    new_limit,
    policy,
    published,
    seen,
    setting,
    threshold,
)


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


def test_a_kind_of_row_that_there_is_not_is_refused(defaults):
    with pytest.raises(ValidationError) as refused:
        draft(new_limit(), making("weather", "rain"))
    assert list(refused.value.message_dict) == ["1.kind"]


def test_a_request_of_too_many_edits_is_refused(defaults, monkeypatch):
    monkeypatch.setattr("policies.requests.writing.MOST_EDITS", 1)
    with pytest.raises(ValidationError, match="1 edits at most"):
        draft(new_limit(), new_limit("Other"))


def test_a_moment_without_its_zone_is_refused(defaults):
    with pytest.raises(ValidationError, match="time zone"):
        draft(making("restriction", symbol="X", reason="Review", until="2100-01-01T00:00:00"))


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
