"""The limits of a moment: as they were then, on whom, and who stands behind each."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from policies.models import CapitalProfile, Policy
from policies.requests.services import do_edit_request
from policies.services import do_change_policy, do_change_profile
from reports.datasets import DATASETS
from reports.table import Asked
from tests.policies.requesting import (
    ALICE,
    BOB,
    DAVE,
    approved,
    draft,
    leverage,
    new_limit,
    published,
    seen,
    setting,
    submitted,
)
from tests.policies.subjects import WHO, account, limit

LIMITS = DATASETS["limits_as_of"]
NOBODY_LIMITED: frozenset[str] = frozenset()


def rows(accounts: frozenset[str] = NOBODY_LIMITED, **asked: Any) -> list[dict[str, Any]]:
    """Return the rows of the report, by the names of its columns."""
    wanted = Asked(**{"at": timezone.now(), **asked})
    found = list(LIMITS.rows(wanted, accounts))
    assert LIMITS.count(wanted, accounts) == len(found)
    names = [column.name for column in LIMITS.columns]
    return [dict(zip(names, row, strict=True)) for row in found]


def row(**asked: Any) -> dict[str, Any]:
    found = rows(**asked)
    assert len(found) == 1, [each["policy"] for each in found]
    return found[0]


def named(**asked: Any) -> set[str]:
    return {each["policy"] for each in rows(**asked)}


# ------------------------------------------------------------------------------------------------ which book
def test_before_the_first_book_there_is_no_limit_and_the_summary_says_so(defaults):
    asked = Asked(at=defaults.created_at - timedelta(seconds=1))
    assert list(LIMITS.rows(asked, NOBODY_LIMITED)) == []
    assert LIMITS.books(asked, NOBODY_LIMITED) is None
    assert "No book was published by then" in LIMITS.summary(asked, NOBODY_LIMITED).notes[0]


def test_a_limit_is_as_it_was_then_and_not_as_it_is_now(live):
    before = timezone.now()
    published(approved(leverage("12")))
    assert row(at=before, policy="Max Account Leverage")["threshold"] == 10
    assert row(policy="Max Account Leverage")["threshold"] == 12


def test_a_renamed_limit_has_the_name_of_then(live):
    before, one = timezone.now(), Policy.objects.get(name="Max Account Leverage")
    do_change_policy(**WHO, policy_id=one.pk, expected_version=1, name="Leverage")
    assert row(at=before, policy=str(one.pk))["policy"] == "Max Account Leverage"
    assert row(policy=str(one.pk))["policy"] == "Leverage"
    assert row(at=before, policy="leverage")["policy"] == "Max Account Leverage"


def test_each_row_names_its_book_and_the_report_names_it_too(defaults):
    found = row(policy="Max Account Leverage")
    assert found["book_version"] == defaults.version
    assert found["book_sha256"] == defaults.sha256
    assert found["book_live_since"] == defaults.created_at
    assert LIMITS.books(Asked(at=timezone.now()), NOBODY_LIMITED) == (1, 1)


def test_it_is_told_in_a_sentence(defaults):
    said = row(policy="Max Account Leverage")["in_words"]
    assert said == "Leverage of every account stays at or below 10 - hard"


# -------------------------------------------------------------------------------------------- who is behind it
def test_who_asked_for_it_approved_and_published_it_is_told(live):
    request = approved(leverage("12"))
    published(request)
    found = row(policy="Max Account Leverage")
    assert (found["request"], found["author"], found["reason"]) == (request.pk, "alice", "Review")
    assert (found["approved_by"], found["published_by"]) == ("bob", "alice")
    assert found["approval"] == "approved by bob"
    assert found["changed_in_book"] == 2


def test_an_approval_of_what_the_request_said_before_is_none(live):
    request = approved(leverage("12"), by=BOB)
    one = Policy.objects.get(name="Max Account Leverage")
    request = do_edit_request(acting=ALICE, **seen(request), reason="Better", edits=[setting(one, threshold="13")])
    published(approved(request, by=DAVE))
    assert row(policy="Max Account Leverage")["approved_by"] == "dave"


def test_a_tightening_that_nobody_had_to_approve_says_so(live):
    published(submitted(leverage("8")))
    found = row(policy="Max Account Leverage")
    assert found["approved_by"] is None
    assert found["approval"] == "published by alice without a second: it tightened limits"


def test_what_the_configuration_made_has_no_request(defaults):
    found = row(policy="Max Account Leverage")
    assert (found["request"], found["author"], found["approved_by"]) == (None, None, None)
    assert found["approval"] == "nobody was asked: bootstrap made it by the configuration"
    assert found["published_by"] == "bootstrap"


def test_a_later_change_of_its_name_does_not_hide_who_approved_its_threshold(live):
    first = approved(leverage("12"))
    published(first)
    one = Policy.objects.get(name="Max Account Leverage")
    second = draft(setting(one, description="said better"))
    published(submitted(second))
    found = row(policy="Max Account Leverage")
    assert found["request"] == second.pk
    assert (found["threshold_request"], found["threshold_approved_by"]) == (first.pk, "bob")


def test_a_change_of_after_that_moment_is_not_told(live):
    first = approved(leverage("12"))
    published(first)
    then = timezone.now()
    published(approved(leverage("14")))
    found = row(at=then, policy="Max Account Leverage")
    assert (found["threshold"], found["request"]) == (12, first.pk)


def test_a_bound_of_a_profile_has_who_set_it(live):
    low = CapitalProfile.objects.get(pk="low")
    request = approved(draft(setting(low, "profile", allowed_leverage="2.5")))
    published(request)
    found = row(policy="profile:low:leverage")
    assert (found["threshold"], found["request"], found["approved_by"]) == (Decimal("2.5"), request.pk, "bob")
    other = row(policy="profile:low:daily_loss")
    assert (other["request"], other["threshold_request"]) == (request.pk, None)


def test_owner_and_rules_are_those_of_then(live):
    published(submitted(draft(new_limit(owner="desk", regulatory_tags=["15c3-5", "RTS 6"]))))
    found = row(policy="Max Order Notional")
    assert (found["owner"], found["regulatory_tags"]) == ("desk", "15c3-5, RTS 6")


# ------------------------------------------------------------------------------------------------- on whom
def test_of_an_account_there_are_its_own_limits_and_its_profile_s_bounds(defaults):
    account("desk-1", profile="low")
    account("desk-2", profile="normal")
    limit("For one", scope="account", scope_ids=["desk-1"])
    limit("For the other", scope="account", scope_ids=["desk-2"])
    limit("For low", scope="profile", scope_ids=["low"])
    found = named(account_id="desk-1")
    assert {"For one", "For low", "Profile low: leverage", "Max Account Leverage"} <= found
    assert not {"For the other", "Profile normal: leverage"} & found


def test_of_a_symbol_there_is_no_limit_on_another_one(defaults):
    found = named(symbol="btcusdt")
    assert "Max BTCUSDT Position" in found
    assert "Max ETHUSDT Position" not in found


def test_an_account_that_the_book_does_not_have_has_no_limits_and_that_is_said(defaults):
    assert rows(account_id="nobody") == []
    notes = LIMITS.summary(Asked(at=timezone.now(), account_id="nobody"), NOBODY_LIMITED).notes
    assert "The book has no account nobody: every order of it is blocked." in notes


def test_who_is_for_some_accounts_gets_no_limit_on_others(defaults):
    account("desk-1")
    account("desk-2")
    limit("Theirs", scope="account", scope_ids=["desk-2"])
    limit("Both", scope="account", scope_ids=["desk-1", "desk-2"])
    found = {each["policy"]: each["applies_to"] for each in rows(frozenset({"desk-1"}))}
    assert "Theirs" not in found
    assert found["Both"] == "desk-1"
    assert rows(frozenset({"desk-1"}), account_id="desk-2") == []


# ------------------------------------------------------------------------------------------------ how it held
def test_a_limit_before_its_time_is_not_in_force(defaults):
    limit("Later", effective_from=timezone.now() + timedelta(days=1))
    assert row(policy="Later")["in_force"] is False
    assert row(policy="Max Account Leverage")["in_force"] is True


def test_a_limit_in_shadow_says_so(defaults):
    limit("Tried out", mode="shadow")
    assert row(policy="Tried out")["mode"] == "shadow"


def test_a_rollout_that_has_not_reached_the_account_is_in_shadow_on_it(defaults):
    account("desk-1")
    limit("Rolled out", rollout_percent=0)
    assert row(policy="Rolled out", account_id="desk-1")["mode"] == "shadow"
    assert row(policy="Rolled out")["rollout_percent"] == 0


def test_a_threshold_that_follows_the_market_is_told_as_written_and_as_it_counted(defaults):
    limit("Follows", volatility_symbol="BTCUSDT", volatility_reference=Decimal("0.5"))
    found = row(policy="Follows")
    assert (found["threshold"], found["threshold_in_effect"]) == (1000, 500)  # not known: the lowest factor


def test_the_summary_counts_limits_by_type_and_says_of_which_book(defaults):
    said = LIMITS.summary(Asked(at=timezone.now()), NOBODY_LIMITED)
    figures = {figure.label: figure.value for figure in said.figures}
    assert figures["Limits in the book"] == "33"
    assert figures["Book"] == "1"
    assert "4 emergency" in figures["By type"]
    assert len(said.charts[0].labels) == len(said.charts[0].values)


def test_it_takes_as_many_queries_for_many_limits_as_for_few(defaults, django_assert_max_num_queries):
    low = CapitalProfile.objects.get(pk="low")
    do_change_profile(**WHO, name=low.pk, expected_version=1, allowed_leverage=Decimal(1))
    with django_assert_max_num_queries(8):
        list(LIMITS.rows(Asked(at=timezone.now()), NOBODY_LIMITED))
