"""The page of one question: a form, and the answer below it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from policies.models import Book
from reports.question import PERMISSIONS
from tests.dashboard.world import MARKUP, decided, order, signed_in
from tests.policies.requesting import draft, new_limit, published, submitted
from tests.policies.subjects import limit

DESK: dict[str, Any] = {"metric": "leverage", "scope": "account", "scope_ids": ["desk-1"]}


def page(**asked: str) -> str:
    """Return the address of the answer, by default of what applied to desk-1 now."""
    wanted = {"account_id": "desk-1", "metric": "leverage", "at": timezone.now().isoformat(), **asked}
    return f"/reports/limit/?{urlencode(wanted)}"


def auditor(*accounts: str):
    return signed_in("ada", *PERMISSIONS, accounts=accounts)


def test_who_may_not_see_all_of_it_is_told_what_that_takes(world):
    reader = signed_in("rita", *PERMISSIONS[1:])
    refused = reader.read("/reports/limit/", 403)
    assert f"<code>{PERMISSIONS[0]}</code>and<code>" in refused


def test_without_a_question_there_is_a_form_and_what_it_is_for(world):
    empty = auditor().read("/reports/limit/")
    assert "Say which account, which limit and when" in empty
    assert '<option value="leverage" selected>' in empty


def test_one_page_answers_which_limit_applied_who_approved_it_and_what_it_stopped(world):
    request = submitted(draft(new_limit("Tight", **DESK, threshold="3"), reason="A narrower desk"))
    published(request)
    row = decided(world, order(quantity=Decimal(80)))
    found = auditor().read(page())
    assert "Tight applied to desk-1: Leverage of account desk-1 stays at or below 3 - hard" in found
    assert f"alice asked for it in request {request.pk} (A narrower desk), nobody had to approve it" in found
    assert "1 order was stopped by these limits" in found
    assert f"/decisions/{row.pk}/" in found
    assert f"/admin/policies/changerequest/{request.pk}/change/" in found
    assert f"/admin/policies/book/{Book.objects.order_by('-version')[0].pk}/change/" in found
    assert "kind=limit_question" in found


def test_a_moment_without_a_zone_is_utc(world):
    now = timezone.now()
    found = auditor().get(page(at=f"{now:%Y-%m-%dT%H:%M:%S}"))
    assert found.context["answer"].at == now.replace(microsecond=0)


def test_what_is_missing_or_wrong_is_told_beside_its_field(world):
    reader = auditor()
    assert "Account is needed" in reader.read(page(account_id=""), 400)
    assert "Limit on is not the name of a metric" in reader.read(page(metric="beauty"), 400)
    assert "Moment (UTC) must be a moment" in reader.read(page(at="yesterday"), 400)
    later = (timezone.now() + timedelta(hours=1)).isoformat()
    assert "Moment (UTC) has not come yet" in reader.read(page(at=later), 400)


def test_an_account_that_is_not_theirs_is_refused_like_one_that_there_is_not(world):
    reader = auditor("desk-2")
    said = "Account is not among those that you are for"
    assert said in reader.read(page(), 400)
    assert said in reader.read(page(account_id="nobody"), 400)


def test_a_book_that_is_not_what_was_published_is_told_and_not_answered_by(world, monkeypatch):
    monkeypatch.setattr("reports.standing.loaded", _damaged)
    said = auditor().read(page(), 500)
    assert "This cannot be answered here." in said
    assert "its content does not have its hash" in said


def _damaged(version: int) -> None:
    raise ValueError(f"book {version} is not what was published: its content does not have its hash")


def test_what_takes_too_long_is_left_to_a_file(world, monkeypatch):
    monkeypatch.setattr("reports.views_question.answer", _too_slow)
    said = auditor().read(page(), 503)
    assert "It takes longer than 15 s to look at." in said
    assert "Take it away as a file" in said


def _too_slow(*_asked: Any, **_named: Any) -> None:
    raise OperationalError("canceling statement due to statement timeout")


def test_names_full_of_markup_are_inert(world):
    limit(MARKUP[:60], **DESK, threshold=Decimal(3))
    decided(world, order(quantity=Decimal(80), order_id=MARKUP[:60]))
    found = auditor().read(page())
    assert "<script>alert" not in found
    assert "&lt;script&gt;alert" in found


def test_it_takes_as_many_queries_for_many_orders_as_for_one(world):
    limit("Tight", **DESK, threshold=Decimal(3))
    decided(world, order(quantity=Decimal(80)))
    reader, asked = auditor(), page(at=timezone.now().isoformat())
    few = _queries(reader, asked)
    for _ in range(5):
        decided(world, order(quantity=Decimal(80)))
    assert _queries(reader, page()) == few


def _queries(reader, path: str) -> int:
    reader.get(path)
    with CaptureQueriesContext(connection) as seen:
        reader.get(path)
    return len(seen)
