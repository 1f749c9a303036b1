"""Overrides: asked for by one person and approved by another, used once, taken back, told."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from threading import Barrier, Thread
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.drain import drain
from audit.models import AuditEvent
from policies.book import part_of
from policies.direction import Direction
from policies.edits import EDITABLE, Edit
from policies.errors import NeedsApproval
from policies.models import ChangeRequest, Override
from policies.overrides import use_in_words, uses_by_account
from policies.requests.services import (
    do_approve_request,
    do_draft_request,
    do_publish_request,
    do_roll_back_request,
    do_submit_request,
)
from policies.requests.trying import Tried, edits_of, try_edits
from policies.requests.writing import canonical
from policies.wording_items import override_sentence
from riskcore.book import Book
from riskcore.book import Override as Published
from riskportal.restore import Outcome, restore_if_empty
from tests.emergency.world import ACCOUNTS, World, order
from tests.policies.requesting import ALICE, BOB

pytestmark = pytest.mark.django_db(transaction=True)

D = Decimal
DESK = ACCOUNTS[0]
BIG = D(20)  # of BTCUSDT at 50,000: twice what the first policies let a position be worth


def wanted(**fields: Any) -> Edit:
    until = (timezone.now() + timedelta(hours=1)).isoformat()
    return Edit("override", "", 0, {"account": DESK, "until": until, "reason": "closing the book", **fields})


def asked(**fields: Any) -> ChangeRequest:
    request = do_draft_request(acting=ALICE, reason="closing the book", edits=(wanted(**fields),))
    return do_submit_request(acting=ALICE, request_id=request.pk, expected_version=request.version)


def granted(**fields: Any) -> Override:
    request = asked(**fields)
    do_approve_request(acting=BOB, request_id=request.pk, expected_version=request.version, note="seen")
    do_publish_request(acting=ALICE, request_id=request.pk, expected_version=request.version)
    (edit,) = edits_of(request)
    return Override.objects.get(pk=edit.key)


def tried(edit: Edit) -> Tried:
    return try_edits(canonical((edit,)))


def refused(**fields: Any) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as error:
        tried(wanted(**fields))
    return error.value.message_dict


# --------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"account": "nobody"}, "account"),
        ({"until": "2020-01-01T00:00:00+00:00"}, "until"),
        ({"until": (timezone.now() + timedelta(days=40)).isoformat()}, "until"),
        ({"valid_from": (timezone.now() + timedelta(days=2)).isoformat()}, "until"),
        ({"max_orders": 0}, "max_orders"),
        ({"max_notional": "NaN"}, "max_notional"),
        ({"side": "LONG"}, "side"),
        ({"reason": ""}, "reason"),
    ],
)
def test_what_cannot_be_meant(world, fields, named):
    found = refused(**fields)
    assert list(found) == [f"0.{named}"]


def test_nobody_grants_one_alone(world):
    request = asked()
    with pytest.raises(NeedsApproval, match="This loosens limits"):
        do_publish_request(acting=ALICE, request_id=request.pk, expected_version=request.version)
    assert not Override.objects.exists()


def test_one_that_was_taken_back_is_not_granted_again(world):
    row = granted()
    take_back(row)
    row.refresh_from_db()
    with pytest.raises(ValidationError, match="was taken back"):
        try_edits((Edit("override", str(row.pk), row.version, {"active": True}),))


def take_back(row: Override) -> None:
    edit = Edit("override", str(row.pk), row.version, {"active": False})
    request = do_draft_request(acting=ALICE, reason="done", edits=(edit,))
    do_publish_request(acting=ALICE, request_id=request.pk, expected_version=request.version)


def test_pages_of_a_request_for_one_and_of_what_it_granted(world):
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    request = asked(max_orders=2)
    page = client.get(reverse("admin:policies_changerequest_change", args=(request.pk,)))
    assert page.status_code == 200
    assert f"account {DESK} may send up to 2 orders through its limits" in page.content.decode()
    row = granted()
    for page_of in ("change", "history"):
        assert client.get(reverse(f"admin:policies_override_{page_of}", args=(row.pk,))).status_code == 200
    listed = client.get(reverse("admin:policies_override_changelist")).content.decode()
    assert f"One order of account {DESK} passes its limits" in listed


@pytest.mark.parametrize("model", EDITABLE.values())
def test_whatever_requests_edit_is_a_part_of_the_book(model):
    assert part_of(model) in Book.__struct_fields__


# ------------------------------------------------------------------------------------------------------ used


def test_it_lets_one_order_through_and_no_second(world: World):
    assert not world.check(order(quantity=BIG)).approved
    row = granted()
    first, second = world.check(order(quantity=BIG)), world.check(order(quantity=BIG))
    assert (first.approved, second.approved) == (True, False)
    answer = msgspec.json.decode(first.decision)
    assert answer["override"] == {"id": str(row.pk), "reason": "closing the book"}
    assert "Max BTCUSDT Position" in [each["name"] for each in answer["warnings"]]
    assert use_in_words(row) == "1 of 1 orders, 20 in all, worth 1,000,000"


def test_taken_back_it_lets_nothing_through(world: World):
    take_back(granted(max_orders=5))
    assert not world.check(order(quantity=BIG)).approved


def test_orders_that_race_for_one_use_it_once(world: World):
    granted()
    start, answers = Barrier(6), []

    def send() -> None:
        start.wait()
        answers.append(world.check(order(quantity=BIG)).approved)
        connections.close_all()

    threads = [Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 5 + [True]


def test_what_was_used_stays_used_when_the_live_state_was_lost(world: World, settings):
    settings.RISK_RECOVERY_HOLD = timedelta()
    row = granted()
    assert world.check(order(quantity=BIG)).approved
    drain(world.store)
    world.lose()
    assert restore_if_empty(world.store).outcome is Outcome.RESTORED
    world.feed()
    assert uses_by_account([DESK])[DESK][str(row.pk)].orders == 1
    assert not world.check(order(quantity=BIG)).approved


# ------------------------------------------------------------------------------------------------------ told


def test_granting_and_taking_back_are_audited(world):
    take_back(granted())
    actions = list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))
    assert [each for each in actions if each.startswith("override.")] == ["override.grant", "override.revoke"]


def test_taking_back_a_request_that_granted_one_takes_it_back(world):
    row = granted()
    request = ChangeRequest.objects.latest("id")
    back = do_roll_back_request(acting=ALICE, request_id=request.pk, reason="no")
    assert edits_of(back) == (Edit("override", str(row.pk), row.version, {"active": False}),)
    (judged,) = try_edits(edits_of(back)).judged
    assert (judged.direction, judged.why) == (Direction.TIGHTENS, "it is taken back, or its time is over")


def test_what_is_asked_for_is_said_in_words(world):
    (judged,) = tried(wanted(max_orders=3, liquidation=True)).judged
    assert judged.direction is Direction.LOOSENS
    assert judged.why == (
        f"account {DESK} may send up to 3 orders through its limits, and reducing ones through a stop"
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "One order of account A passes its limits until 2026-01-07 12:00:00 UTC: why"),
        (
            {
                "max_orders": 1_500,
                "symbol": "BTCUSDT",
                "side": "BUY",
                "max_quantity": Decimal(5),
                "max_notional": Decimal(1_000),
            },
            "Up to 1,500 orders of account A to BUY in BTCUSDT of 5 in all worth 1,000 in all"
            " pass its limits until 2026-01-07 12:00:00 UTC: why",
        ),
        (
            {"from_us": 1_767_000_000_000_000, "liquidation": True},
            "One order of account A passes its limits from 2025-12-29 09:20:00 UTC until 2026-01-07 12:00:00 UTC,"
            " reducing ones through a stop as well: why",
        ),
    ],
)
def test_an_override_in_words(fields: dict[str, Any], words):
    said = Published(id=str(uuid4()), account_id="A", reason="why", until_us=1_767_787_200_000_000, **fields)
    assert override_sentence(said) == words
