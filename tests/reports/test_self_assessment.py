"""The self-assessment: what two rules ask for, and the evidence that is on record for each part."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from emergency.words import Trigger
from policies.models import Policy
from policies.services import do_change_policy, do_restrict_symbol
from reports.assessment.probes import Found, Status, status_of
from reports.assessment.requirements import REQUIREMENTS, RTS, SEC
from reports.datasets import DATASETS
from reports.table import Asked
from riskcore.metrics import METRICS
from tests.dashboard.world import big, decided, order
from tests.emergency.world import engage, lift
from tests.policies.requesting import approved, leverage, published
from tests.policies.subjects import WHO, limit
from violations.blocks import record_blocks

ASSESSMENT = DATASETS["self_assessment"]
EVERYBODY: frozenset[str] = frozenset()


def rows(**asked: Any) -> list[dict[str, Any]]:
    names = [column.name for column in ASSESSMENT.columns]
    found = list(ASSESSMENT.rows(Asked(**asked), EVERYBODY))
    assert ASSESSMENT.count(Asked(**asked), EVERYBODY) == len(found)
    return [dict(zip(names, row, strict=True)) for row in found]


def row(rule: str, paragraph: str, part: str = "", **asked: Any) -> dict[str, Any]:
    """Return the only requirement of a paragraph that has some words in it."""
    (found,) = [
        each
        for each in rows(**asked)
        if (each["rule"], each["paragraph"]) == (rule, paragraph) and part in each["requires"]
    ]
    return found


# ------------------------------------------------------------------------------------------------ the map
def test_it_covers_the_paragraphs_and_articles_that_it_says_it_does():
    paragraphs = {each.paragraph for each in REQUIREMENTS if each.rule == SEC}
    assert paragraphs == {
        *("(b)", "(c)(1)(i)", "(c)(1)(ii)", "(c)(2)(i)", "(c)(2)(ii)", "(c)(2)(iii)", "(c)(2)(iv)"),
        *("(d)", "(e)(1)", "(e)(2)"),
    }
    articles = {each.paragraph.removeprefix("Art. ").partition("(")[0] for each in REQUIREMENTS if each.rule == RTS}
    assert articles == {"12", "13", "14", "15", "16", "17", "18"}


def test_what_has_no_probe_is_outside_this_system_and_says_who_has_to_do_it(defaults):
    outside = [each for each in rows() if each["status"] == "outside this system"]
    assert ("SEC Rule 15c3-5", "(e)(2)") in {(each["rule"], each["paragraph"]) for each in outside}
    assert all(each["control"] and each["evidence"] is None and each["last_acted"] is None for each in outside)


def test_the_limits_that_it_looks_for_are_on_metrics_that_there_are(defaults):
    said = " ".join(each["evidence"] or "" for each in rows())
    named = [part for each in said.split("limits in force: ")[1:] for part in each.partition(";")[0].split(",")]
    words = {word for part in named for word in part.split() if "_" in word}
    assert words <= set(METRICS)


@pytest.mark.parametrize(
    ("found", "status"),
    [
        pytest.param((), Status.OUTSIDE, id="nothing is looked for"),
        pytest.param((Found(False, None, ""),), Status.NOT_ARMED, id="it is not there"),
        pytest.param((Found(True, None, ""),), Status.ARMED, id="it is there"),
        pytest.param((Found(True, timezone.now(), ""),), Status.EVIDENCED, id="it has acted"),
        pytest.param((Found(True, None, ""), Found(True, timezone.now(), "")), Status.EVIDENCED, id="another has"),
        pytest.param(
            (Found(False, None, ""), Found(True, timezone.now(), "")), Status.NOT_ARMED, id="another is no gap"
        ),
    ],
)
def test_a_status_is_what_its_evidence_comes_to(found, status):
    assert status_of(found) is status


# ----------------------------------------------------------------------------------------------- evidence
def test_a_collar_is_armed_until_it_has_blocked_and_then_evidenced(world):
    assert row(RTS, "Art. 15(1)(a)")["status"] == "armed, not fired"
    decided(world, order(price=Decimal(60_000)))
    record_blocks(timezone.now(), timedelta(minutes=5))
    found = row(RTS, "Art. 15(1)(a)")
    assert found["status"] == "evidenced"
    assert found["last_acted"] is not None
    assert found["evidence"] == "limits in force: 1 on price_deviation"


def test_a_limit_that_is_switched_off_is_not_armed(world):
    collar = Policy.objects.get(name="Order Price Collar")
    do_change_policy(**WHO, policy_id=collar.pk, expected_version=1, enabled=False)
    found = row(RTS, "Art. 15(1)(a)")
    assert (found["status"], found["evidence"]) == ("not armed", "limits in force: none on price_deviation")


def test_a_limit_in_shadow_is_no_limit_in_force(world):
    limit("Tried out", metric="order_quantity", threshold=Decimal(10), mode="shadow")
    assert row(RTS, "Art. 15(1)(c)")["status"] == "not armed"
    limit("Real", metric="order_quantity", threshold=Decimal(10))
    assert row(RTS, "Art. 15(1)(c)")["status"] == "armed, not fired"


def test_a_share_of_the_days_volume_is_a_largest_volume_and_a_ratio_to_trades_no_rate_of_messages(world):
    limit("Share", metric="order_adv_share", threshold=Decimal("0.05"))
    limit("Ratio", metric="order_to_trade", threshold=Decimal(100))
    assert row(RTS, "Art. 15(1)(c)")["status"] == "armed, not fired"
    messages = row(RTS, "Art. 15(1)(d)")
    assert messages["status"] == "not armed"
    assert "limits in force: 1 on order_to_trade" in messages["evidence"]


def test_a_drill_is_evidence_of_the_kill_functionality(world):
    assert row(RTS, "Art. 12(1)-(2)")["status"] == "armed, not fired"
    assert "never drilled" in row(RTS, "Art. 12(1)-(2)")["evidence"]
    lift(engage(scope="account", scope_id="desk-1", trigger=Trigger.DRILL).stop_id)
    found = row(RTS, "Art. 12(1)-(2)")
    assert found["status"] == "evidenced"
    assert "last drill: account desk-1, in force after" in found["evidence"]


def test_restricted_symbols_are_armed_once_there_is_one(world):
    assert row(SEC, "(c)(2)(ii)")["status"] == "not armed"
    do_restrict_symbol(actor="alice", reason="insider list", symbol="DOGEUSDT")
    assert row(SEC, "(c)(2)(ii)")["status"] == "armed, not fired"
    decided(world, order(symbol="DOGEUSDT"))
    assert row(SEC, "(c)(2)(ii)")["status"] == "evidenced"


def test_how_limits_were_changed_is_told_with_those_that_nobody_approved(live):
    published(approved(leverage("12")))
    said = row(SEC, "(d)")["evidence"]
    assert "change requests published: 1, approved by a second person: 1" in said
    assert "without a request: 13" in said


def test_without_a_review_there_is_none(defaults):
    found = row(SEC, "(e)(1)")
    assert found["status"] == "not armed"
    assert "no report on effectiveness was ever made" in found["evidence"]


def test_tags_of_officers_are_counted(defaults):
    limit("One", regulatory_tags=["15c3-5 (c)(1)(i)", "RTS 6"])
    limit("Two", regulatory_tags=["15C3-5"])
    assert row(SEC, "(c)(1)(i)")["tagged"] == 2
    assert row(RTS, "Art. 15(1)(a)")["tagged"] == 1


def test_evidence_of_before_the_period_does_not_count(world):
    decided(world, big())
    later = timezone.now()
    assert row(SEC, "(c)(1)(i)", since=later)["last_acted"] is None


# ------------------------------------------------------------------------------------------------ the claim
def test_it_never_claims_compliance(defaults):
    said = ASSESSMENT.summary(Asked(), EVERYBODY)
    assert said.notes[0].startswith("This is a self-assessment.")
    assert "does not say that any rule is complied with" in said.notes[0]
    figures = {each.label: each.value for each in said.figures}
    assert sum(int(figures[status.value.capitalize()]) for status in Status) == int(figures["Requirements"])
    assert ASSESSMENT.of_all
    assert ASSESSMENT.books(Asked(), EVERYBODY) == (1, 1)


def test_before_the_first_book_nothing_is_armed(db):
    assert {each["status"] for each in rows() if each["evidence"] and "limits in force" in each["evidence"]} == {
        "not armed"
    }
