"""Which leverage limit applied to an account at 14:03:07, who approved it, and what did it stop that day?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from audit.acting import NotAllowed, NotTheirAccount, acting
from emergency.words import Trigger
from policies.models import Account
from policies.services import do_change_account, do_change_policy
from reports.datasets import DATASETS
from reports.days import trading_day
from reports.question import PERMISSIONS, Answer, answer
from reports.question_words import headline, sayings
from reports.table import Asked
from riskcore.book import Parameters
from tests.dashboard.world import decided, order
from tests.emergency.world import engage, long
from tests.policies.requesting import approved, draft, new_limit, policy, published, setting, submitted
from tests.policies.subjects import WHO, limit
from tests.violations.subjects import broken, look

AUDITOR = acting("ada", PERMISSIONS)
QUESTION = DATASETS["limit_question"]
DESK: dict[str, Any] = {"metric": "leverage", "scope": "account", "scope_ids": ["desk-1"]}


def ask(account_id: str = "desk-1", metric: str = "leverage", at: datetime | None = None, who=AUDITOR) -> Answer:
    return answer(who, account_id, metric, at or timezone.now())


def names(found: Answer) -> list[str]:
    return [each.held.policy.name for each in found.limits]


def rows(at: datetime | None = None, **asked: Any) -> list[dict[str, Any]]:
    """Return the rows of the export, by the names of its columns."""
    wanted = Asked(**{"account_id": "desk-1", "metric": "leverage", "at": at or timezone.now(), **asked})
    found = list(QUESTION.rows(wanted, frozenset()))
    assert QUESTION.count(wanted, frozenset()) == len(found)
    return [dict(zip([each.name for each in QUESTION.columns], row, strict=True)) for row in found]


def too_much(**what: Any):
    """Return an order that takes leverage to about 4, which margin allows."""
    return order(**{"quantity": Decimal(80), **what})


# --------------------------------------------------------------------------------------------- who may ask
@pytest.mark.parametrize("missing", PERMISSIONS)
def test_who_may_not_see_a_part_of_the_answer_gets_none(missing):
    with pytest.raises(NotAllowed, match=missing):
        ask(who=acting("ada", set(PERMISSIONS) - {missing}))


def test_who_is_for_another_account_gets_none():
    with pytest.raises(NotTheirAccount):
        ask(who=acting("ada", PERMISSIONS, ["desk-2"]))


def test_the_export_gives_nothing_of_an_account_that_is_not_theirs(world):
    asked = Asked(account_id="desk-1", metric="leverage", at=timezone.now())
    (row,) = QUESTION.rows(asked, frozenset({"desk-2"}))
    assert row[0] == "nothing"


# ------------------------------------------------------------------------------------------------ which limit
def test_the_tightest_limit_that_counted_is_first_and_those_that_could_stop_nothing_are_last(world):
    limit("Tight", **DESK, threshold=Decimal(3))
    limit("Tighter in shadow", **DESK, threshold=Decimal(1), mode="shadow")
    limit("Tighter later", **DESK, threshold=Decimal(2), effective_from=timezone.now() + timedelta(days=1))
    limit("Warns", **DESK, threshold=Decimal(2), type="soft")
    limit("Of another desk", metric="leverage", threshold=Decimal(1), scope="account", scope_ids=["desk-2"])
    found = ask()
    assert names(found) == [
        *("Tight", "Profile aggressive: leverage", "Max Account Leverage"),
        *("Warns", "Tighter in shadow", "Tighter later"),
    ]
    assert found.tightest is not None
    assert found.tightest.held.threshold == 3


def test_of_floors_the_highest_is_the_tightest(world):
    limit("Higher", metric="margin_ratio", operator=">=", threshold=Decimal(2))
    assert names(ask(metric="margin_ratio")) == ["Higher", "Min Margin Ratio"]


def test_the_limit_is_that_of_the_moment(world):
    before = timezone.now()
    limit("Tight", **DESK, threshold=Decimal(3))
    assert names(ask(at=before))[0] == "Profile aggressive: leverage"
    assert names(ask())[0] == "Tight"


def test_where_no_limit_could_stop_anything_it_says_so(world):
    found = ask(metric="open_orders")
    assert found.limits == ()
    assert "no limit on open orders could stop an order of desk-1" in headline(found)


def test_before_the_first_book_and_of_an_unknown_account_it_says_so(world):
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    assert "no book was published yet" in headline(ask(at=long_ago))
    assert "had no account desk-99: every order of it was blocked" in headline(ask("desk-99"))


# ----------------------------------------------------------------------------------------------- who is behind it
def test_who_asked_approved_and_published_is_told_in_a_sentence(world):
    request = approved(draft(setting(policy(), threshold="12"), reason="A wider desk."))
    published(request)
    said = next(sayings(ask("desk-1", at=timezone.now())))
    assert "bootstrap made it by the configuration, without a request" in said  # the profile's bound is tighter
    limit = next(each for each in ask().limits if each.held.policy.name == "Max Account Leverage")
    assert limit.set_by is not None
    assert limit.set_by.request is not None
    assert [each.actor for each in limit.set_by.request.approvals] == ["bob"]
    assert (limit.set_by.request.author, limit.set_by.actor, limit.set_by.reason) == ("alice", "alice", "A wider desk.")


def test_of_a_profile_s_bound_it_tells_who_put_the_account_under_the_profile(world):
    do_change_account(actor="carol", reason="New mandate", account_id="desk-1", expected_version=1, profile="low")
    found = ask()
    assert found.tightest is not None
    assert found.tightest.held.policy.name == "Profile low: leverage"
    assert found.tightest.placed is not None
    assert (found.tightest.placed.actor, found.tightest.placed.reason) == ("carol", "New mandate")
    assert "The account was under that profile since" in " ".join(sayings(found))


# ------------------------------------------------------------------------------------------ what it stopped
def test_it_counts_the_orders_that_the_limits_stopped_and_names_them(world):
    published(submitted(draft(new_limit("Tight", **DESK, threshold="3"))))
    blocked = [decided(world, too_much()) for _ in range(2)]
    passed = decided(world)
    decided(world, too_much(account_id="desk-2"))
    found = ask()
    assert found.blocked == 2
    assert [each.decision_id for each in found.orders] == [each.pk for each in blocked]
    assert found.limits[0].blocked == 2
    assert found.limits[1].blocked == 0
    assert passed.approved


def test_an_order_that_broke_two_of_the_limits_counts_once(world):
    limit("Tight", **DESK, threshold=Decimal(3))
    limit("Tighter", **DESK, threshold=Decimal(2))
    decided(world, too_much())
    found = ask()
    assert found.blocked == 1
    assert [each.blocked for each in found.limits[:2]] == [1, 1]
    assert len(found.orders) == 2


def test_a_what_if_is_counted_apart(world):
    limit("Tight", **DESK, threshold=Decimal(3))
    decided(world, too_much(what_if=True))
    found = ask()
    assert (found.blocked, found.what_ifs, found.limits[0].blocked) == (0, 1, 0)
    assert any("They stopped nothing" in each for each in sayings(found))


def test_what_another_day_brought_is_not_in_it(world):
    limit("Tight", **DESK, threshold=Decimal(3))
    decided(world, too_much())
    assert ask(at=timezone.now() + timedelta(days=1)).blocked == 0


def test_the_figure_is_that_of_the_last_decision_by_then(world):
    limit("Tight", **DESK, threshold=Decimal(3))
    world.feed(long("BTCUSDT", "20"), account_id="desk-1")  # 1,000,000 on as much equity
    row = decided(world, too_much())
    found = ask()
    assert found.on_order is not None
    told = found.on_order.limits[found.limits[0].held.policy.id]
    assert (found.on_order.decision_id, told.before, told.after) == (row.pk, Decimal(1), Decimal(5))
    assert ask(at=row.decided_at - timedelta(milliseconds=1)).on_order is None


def test_violations_alerts_and_stops_of_these_limits_are_told_and_no_others(world):
    tight = limit("Tight", **DESK, threshold=Decimal(3)).row
    mine: dict[str, Any] = {"account_id": "desk-1", "policy_id": str(tight.pk), "policy_name": "Tight"}
    look(0, broken(**mine), broken(**{**mine, "policy_id": "other"}), broken(**{**mine, "account_id": "desk-2"}))
    engage(scope="account", scope_id="desk-1", trigger=Trigger.POLICY, triggered_by="policy Tight")
    engage(scope="account", scope_id="desk-2", trigger=Trigger.POLICY, triggered_by="policy Tight")
    found = ask()
    assert [(each.policy_id, each.account_id) for each in found.violations] == [(str(tight.pk), "desk-1")]
    assert [(each.policy_id, each.account_id) for each in found.alerts] == [(str(tight.pk), "desk-1")]
    assert [each.scope_id for each in found.stops] == ["desk-1"]


# ------------------------------------------------------------------------------------------------ in one export
def test_the_export_has_all_of_the_answer(world):
    request = submitted(draft(new_limit("Tight", **DESK, threshold="3"), reason="A narrower desk"))
    published(request)
    row = decided(world, too_much())
    found = rows()
    assert [each["section"] for each in found if each["limit"] == "Tight"] == [
        *("limit", "as it was since", "figure", "order stopped"),
    ]
    behind = next(each for each in found if each["section"] == "as it was since" and each["limit"] == "Tight")
    assert (behind["who"], behind["reason"], behind["request"]) == ("alice", "A narrower desk", request.pk)
    stopped = next(each for each in found if each["section"] == "order stopped")
    assert (stopped["order_id"], stopped["evidence_id"]) == (row.order_id, str(row.pk))
    assert (stopped["quantity"], stopped["value"], stopped["threshold"]) == (80, 4, 3)


def test_the_export_says_in_sentences_what_the_page_says(world):
    limit("Tight", **DESK, threshold=Decimal(3))
    decided(world, too_much())
    asked = Asked(account_id="desk-1", metric="leverage", at=timezone.now())
    said = QUESTION.summary(asked, frozenset())
    assert "Tight applied to desk-1: Leverage of account desk-1 stays at or below 3 - hard" in said.notes[0]
    assert any("1 order was stopped by these limits" in note for note in said.notes)
    assert {each.label: each.value for each in said.figures}["Orders stopped that day"] == "1"
    assert QUESTION.books(asked, frozenset()) == (7, 7)


def test_a_renamed_limit_stops_under_its_new_name_too(world):
    tight = limit("Tight", **DESK, threshold=Decimal(3)).row
    do_change_policy(**WHO, policy_id=tight.pk, expected_version=1, name="Desk leverage")
    decided(world, too_much())
    assert ask().blocked == 1


# ------------------------------------------------------------------------------------------------- days
@pytest.mark.parametrize(
    ("at", "since", "until"),
    [
        pytest.param("2026-03-28T12:00", "2026-03-27T23:00", "2026-03-28T23:00", id="winter"),
        pytest.param("2026-03-29T12:00", "2026-03-28T23:00", "2026-03-29T22:00", id="clocks go forward"),
        pytest.param("2026-10-25T12:00", "2026-10-24T22:00", "2026-10-25T23:00", id="clocks go back"),
        pytest.param("2026-07-01T22:00", "2026-07-01T22:00", "2026-07-02T22:00", id="its first moment"),
    ],
)
def test_the_trading_day_is_that_of_its_zone(at, since, until):
    day = trading_day(datetime.fromisoformat(f"{at}+00:00"), Parameters(day_zone="Europe/Berlin"))
    assert (f"{day.since:%Y-%m-%dT%H:%M}", f"{day.until:%Y-%m-%dT%H:%M}") == (since, until)


def test_the_accounts_of_the_world_are_under_the_profile_that_these_tests_suppose(world):
    assert Account.objects.get(pk="desk-1").profile_id == "aggressive"
