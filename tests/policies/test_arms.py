"""Both arms of a rollout, from recorded decisions; one that regresses is paused, and people are told."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.models import AuditEvent, OrderDecision
from monitoring.rollouts import look_at_rollouts
from policies.arms.counting import count_arms
from policies.arms.services import WATCH, arms_of, watch_rollouts
from policies.book import policy_of
from policies.models import Policy
from policies.services import do_change_policy
from riskcore.book import Policy as Limit
from riskcore.calendar import moment
from riskcore.compiled import CompiledBook
from riskcore.decide import decide, encode_decision
from riskcore.rollout import holds_for
from riskcore.types import Decision
from tests.policies.subjects import WHO, limit
from tests.riskcore.builders import account, book, inputs, order, state
from tests.support.evidence import keep
from violations.models import Alert, Violation

pytestmark = pytest.mark.usefixtures("defaults")

NAMES = [f"desk-{number}" for number in range(40)]
BIG, SMALL = "0.9", "0.01"  # of BTCUSDT at 50,000


@pytest.fixture
def small_checks(settings) -> None:
    settings.RISK_ROLLOUT_LEAST_CHECKS = 20


def rolled_out(percent: int = 50, **fields: Any) -> Policy:
    """A limit of 10,000 on an order, on half of the accounts."""
    return limit("Rolled out", threshold=Decimal(10_000), rollout_percent=percent, **fields).row


def decided(rule: Limit, account_id: str, quantity: str, **what: Any) -> Decision:
    under = CompiledBook(book(rule, accounts=tuple(account(name) for name in NAMES)))
    return decide(inputs(order(quantity, account_id=account_id, **what), state(account_id=account_id)), under).decision


def record(row: Policy, quantity: str, count: int = 1, *, names: list[str] = NAMES, **what: Any) -> None:
    """Record decisions on orders of each account, as the journal does."""
    rule, at = policy_of(row), timezone.now()
    for _ in range(count):
        made = [decided(rule, name, quantity, **what) for name in names]
        there = OrderDecision.objects.count()
        keep(
            *(
                OrderDecision(
                    decision_id=UUID(int=there + place),
                    account_id=each.account_id,
                    order_id=each.order_id,
                    symbol="BTCUSDT",
                    side="BUY",
                    quantity=Decimal(quantity),
                    price=Decimal(50_000),
                    order_type="LIMIT",
                    verdict=each.decision,
                    approved=each.approved,
                    reason=each.reason or "",
                    what_if=False,
                    book_version=1,
                    account_version=1,
                    decided_at=at,
                    inputs="{}",
                    answer=encode_decision(each).decode(),
                )
                for place, each in enumerate(made)
            )
        )


def reached(row: Policy) -> list[str]:
    return [name for name in NAMES if holds_for(policy_of(row), name)]


def test_each_decision_is_of_the_arm_of_its_account():
    row = rolled_out()
    record(row, BIG)
    record(row, SMALL, 3)
    arms, inside = arms_of(row), len(reached(row))
    assert 0 < inside < len(NAMES)
    assert (arms.enforced.accounts, arms.enforced.checks) == (inside, 4 * inside)
    assert (arms.shadow.accounts, arms.shadow.checks) == (len(NAMES) - inside, 4 * (len(NAMES) - inside))
    assert (arms.enforced.broke, arms.enforced.blocked) == (inside, inside)
    assert (arms.shadow.broke, arms.shadow.blocked) == (len(NAMES) - inside, 0)


def test_decisions_in_which_it_was_not_evaluated_do_not_count():
    row = rolled_out(scope="symbol", scope_ids=["ETHUSDT"])
    record(row, BIG)
    arms = arms_of(row)
    assert (arms.looked_at, arms.enforced.checks, arms.shadow.checks) == (len(NAMES), 0, 0)


def test_a_changed_limit_begins_anew():
    row = rolled_out()
    record(row, BIG)
    do_change_policy(**WHO, policy_id=row.pk, expected_version=row.version, rollout_percent=60)
    row.refresh_from_db()
    assert arms_of(row).looked_at == 0


def test_of_more_decisions_than_are_looked_at_the_newest_count():
    row = rolled_out()
    record(row, SMALL)

    arms = count_arms(policy_of(row), moment(0), most=10)
    assert (arms.looked_at, arms.whole) == (10, False)


def test_one_that_blocks_no_more_than_is_tolerated_goes_on(small_checks):
    row = rolled_out()
    record(row, SMALL, 2)
    assert watch_rollouts() == []


def test_it_is_too_early_with_few_checks(settings):
    settings.RISK_ROLLOUT_LEAST_CHECKS = 200
    row = rolled_out()
    record(row, BIG)
    assert watch_rollouts() == []


def test_one_that_regresses_is_put_in_shadow_with_the_figures_as_the_reason(small_checks):
    row = rolled_out()
    record(row, BIG, 2)
    (paused,) = watch_rollouts()
    row.refresh_from_db()
    assert (row.mode, row.rollout_percent, paused.policy.pk) == ("shadow", 50, row.pk)
    event = AuditEvent.objects.order_by("-pk")[0]
    assert (event.actor, event.action) == (WATCH, "policy.change")
    assert (
        f"{2 * len(reached(row))} were blocked, of {2 * (len(NAMES) - len(reached(row)))} on the others 0"
        in event.reason
    )
    assert watch_rollouts() == []


def test_a_tolerance_of_all_pauses_nothing(settings, small_checks):
    settings.RISK_ROLLOUT_TOLERANCE = Decimal(1)
    record(rolled_out(), BIG, 2)
    assert watch_rollouts() == []


@pytest.mark.parametrize("fields", [{"mode": "shadow"}, {"percent": 100}, {"percent": 0}, {"enabled": False}])
def test_what_is_not_being_rolled_out_is_not_watched(small_checks, fields):
    record(rolled_out(**fields), BIG, 2)
    assert watch_rollouts() == []


def test_one_that_somebody_changes_meanwhile_is_left_to_the_next_look(small_checks, monkeypatch):
    row = rolled_out()
    record(row, BIG, 2)

    def seen_before(found: Policy) -> Any:
        monkeypatch.undo()
        arms = arms_of(found)
        do_change_policy(**WHO, policy_id=row.pk, expected_version=row.version, owner="ann")
        return arms

    monkeypatch.setattr("policies.arms.services.arms_of", seen_before)
    assert watch_rollouts() == []
    row.refresh_from_db()
    assert row.mode == "enforce"


@pytest.mark.django_db(transaction=True)
def test_people_are_told_until_somebody_decides(small_checks):
    row = rolled_out()
    record(row, BIG, 2)
    now = timezone.now()
    look_at_rollouts(now)
    look_at_rollouts(now + timedelta(seconds=60))
    (violation,) = Violation.objects.all()
    assert (violation.policy_name, violation.closed_at) == ("Paused rollout", None)
    assert "Rolled out is in shadow again. The rollout regresses" in violation.message
    assert Alert.objects.count() == 1
    row.refresh_from_db()
    do_change_policy(**WHO, policy_id=row.pk, expected_version=row.version, enabled=False)
    look_at_rollouts(now + timedelta(seconds=120))
    violation.refresh_from_db()
    assert violation.closed_at is not None


def test_the_page_shows_both_sides_and_what_follows(small_checks):
    row = rolled_out()
    record(row, BIG, 2)
    client = Client()
    client.force_login(User.objects.create_superuser("alice"))
    page = client.get(reverse("admin:policies_policy_arms", args=(row.pk,))).content.decode()
    assert "It regresses: surely more than 5.0% more of the checks are blocked where it is enforced." in page
    assert f"{2 * len(reached(row))} (100.0%;" in page
    form = client.get(reverse("admin:policies_policy_change", args=(row.pk,))).content.decode()
    assert reverse("admin:policies_policy_arms", args=(row.pk,)) in form


def test_the_page_is_for_those_who_may_see_limits():
    row = rolled_out()
    client = Client()
    client.force_login(User.objects.create_user("mallory", is_staff=True))
    assert client.get(reverse("admin:policies_policy_arms", args=(row.pk,))).status_code == 403
