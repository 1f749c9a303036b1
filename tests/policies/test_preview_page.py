"""The preview on the page of its request: asked for by a button, looked at by people and screen readers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.acting import NotTheirAccount, acting
from audit.models import AccountGrant
from policies.models import APPROVE_LIMITS, CHANGE_LIMITS, ChangeRequest, Preview, Progress
from policies.preview import services as previews
from policies.preview.services import do_preview
from policies.requests.services import do_edit_request
from policies.tasks import run_previews
from tests.emergency.world import World
from tests.policies.preview_world import orders, send, trading
from tests.policies.requesting import ALICE, draft, leverage, new_limit, policy, published, seen, setting
from tests.policies.subjects import limit

DESKS = 12


@pytest.fixture
def world(request, settings, tmp_path, transactional_db) -> Iterator[World]:
    """A live state in Redis on which every desk has sent an order."""
    for found in trading(request, settings, tmp_path, kind="redis", desks=DESKS):
        send(found, orders([f"desk-{number:02d}" for number in range(DESKS)]))
        yield found


def browser(name: str, *permissions: str) -> Client:
    """Return the browser of somebody who may look, and has these permissions."""
    user, _ = User.objects.get_or_create(username=name, is_staff=True)
    wanted = ["view_changerequest", *(each.partition(".")[2] for each in permissions)]
    user.user_permissions.set(Permission.objects.filter(codename__in=wanted))
    found = Client()
    found.force_login(user)
    return found


@pytest.fixture
def officer(transactional_db) -> Client:
    return browser("alice", CHANGE_LIMITS)


def tight() -> ChangeRequest:
    """Return a request that blocks every order."""
    return draft(new_limit("No Orders", threshold="1"), setting(policy(), threshold="0.5"))


def page(client: Client, request: ChangeRequest) -> str:
    """Return the text of the request's page."""
    response = client.get(reverse("admin:policies_changerequest_change", args=(request.pk,)))
    assert response.status_code == 200
    return response.content.decode()


def section(html: str) -> str:
    return html.partition('id="preview"')[2].partition("</section>")[0]


def text(html: str) -> str:
    """Return what is to be read in the section of the preview."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", section(html))).split())


def press(client: Client, request: ChangeRequest, **fields: Any) -> Any:
    given = {"version": request.version, "most": 10_000, "since": "", "until": "", **fields}
    return client.post(reverse("admin:policies_preview_start", args=(request.pk,)), given)


def test_before_the_first_one_nobody_has_looked(world, officer):
    assert "Nobody has looked yet" in page(officer, leverage("8"))


def test_a_button_works_it_out_and_shows_it(world, officer):
    request = tight()
    answered = press(officer, request)
    assert answered.url.endswith("#preview")
    shown = text(page(officer, request))
    blocked = Preview.objects.get().result.count('"kind":"blocked"')
    assert blocked > 0
    assert f"{blocked} orders would be blocked" in shown
    assert "No Orders: order_notional" in shown
    assert "order-of-desk-" in shown
    assert f"Of {DESKS} recorded decisions" in shown


def test_limits_that_break_at_once_are_named_with_their_accounts(world, officer):
    request = draft(setting(policy(), threshold="0.5"))
    press(officer, request)
    shown = text(page(officer, request))
    assert "Limits that would be broken at once" in shown
    assert re.search(r"desk-\d\d Max Account Leverage Max Account Leverage: leverage [\d.]+ breaks <= 0.5", shown)
    assert "stops trading" not in shown
    assert re.search(r"Publishing this trips the circuit breaker in \d+ account", shown)


def test_without_a_circuit_breaker_a_broken_hard_limit_is_an_alert(world, officer, settings):
    settings.RISK_BREAKER_COUNT = 0
    request = draft(setting(policy(), threshold="0.5"))
    press(officer, request)
    shown = text(page(officer, request))
    assert "circuit breaker" not in shown
    assert "breaks <= 0.5 an alert" in shown


def test_a_broken_emergency_limit_is_said_to_stop_trading(world, officer):
    request = draft(setting(policy(), threshold="0.5", type="emergency"))
    press(officer, request)
    assert "Publishing this stops trading." in text(page(officer, request))


def test_the_picture_has_its_figures_beside_it_and_no_style_of_its_own(world, officer):
    request = draft(setting(policy(), threshold="5"))
    press(officer, request)
    html = page(officer, request)
    assert "style=" not in section(html)
    assert "<script" not in section(html)
    assert re.search(r'<td class="py-1 w-full" aria-hidden="true">\s*<svg', section(html))
    assert re.search(r"desk-\d\d [\d.]+ % [\d.]+ of <= 10 [\d.]+ % [\d.]+ of <= 5", text(html))
    widths = {Decimal(each) for each in re.findall(r'width="([\d.]+)"', section(html))}
    assert max(widths) <= 125


def test_one_that_waits_looks_again_by_itself(world, officer, monkeypatch):
    monkeypatch.setattr(previews, "SMALL_DECISIONS", -1)
    request = tight()
    press(officer, request)
    html = page(officer, request)
    section = reverse("admin:policies_preview_section", args=(request.pk,))
    assert f'hx-get="{section}" hx-trigger="every 1s"' in html
    assert "Waits for its turn." in text(html)
    run_previews()
    part = officer.get(section).content.decode()
    assert "hx-get" not in part
    assert "orders would be blocked" in text(part)


def test_one_that_runs_shows_how_far_it_is(world, officer):
    request = tight()
    press(officer, request)
    Preview.objects.update(state=Progress.RUNNING, done=7, total=24, alive_at=timezone.now())
    html = page(officer, request)
    assert "7 of 24 decisions and accounts" in text(html)
    assert re.search(r'<progress[^>]*max="24"\s+value="7"', html)


def test_one_that_failed_says_why(world, officer):
    request = tight()
    press(officer, request)
    Preview.objects.update(state=Progress.FAILED, problem="The accounts cannot be read.")
    assert "The preview failed. The accounts cannot be read." in text(page(officer, request))


def test_a_result_for_another_version_is_outdated(world, officer):
    request = tight()
    press(officer, request)
    do_edit_request(acting=ALICE, **seen(request), reason="Better", edits=[setting(policy(), threshold="7")])
    assert "Outdated. It is of version 1 of the request, which is version 2 now." in text(page(officer, request))


def test_a_result_for_another_book_is_outdated(world, officer):
    request = tight()
    press(officer, request)
    before = Preview.objects.get().book_version
    assert before is not None
    limit("Another")
    wanted = f"Outdated. It was held against book {before}; book {before + 1} is in force now."
    assert wanted in text(page(officer, request))


def test_a_result_that_cannot_be_read_any_more_says_so(world, officer):
    request = tight()
    press(officer, request)
    Preview.objects.update(result="{}")
    assert "another version of the program" in text(page(officer, request))


def test_a_moment_that_is_none_is_refused(world, officer):
    request = tight()
    press(officer, request, since="yesterday")
    assert not Preview.objects.exists()
    assert "Expected a day and a time" in page(officer, request)


def test_a_window_has_only_its_decisions(world, officer):
    request = tight()
    press(officer, request, until="2020-01-01T00:00")
    assert "No decision was recorded in that time." in text(page(officer, request))


def test_the_last_decisions_are_the_last(world, officer):
    request = tight()
    press(officer, request, most=3)
    shown = text(page(officer, request))
    assert "Of 3 recorded decisions" in shown


def test_who_may_only_look_is_offered_none_and_given_none(world):
    viewer, request = browser("viktor"), tight()
    assert "Preview" not in re.findall(r"Preview(?: again)?", text(page(viewer, request)))
    press(viewer, request)
    assert not Preview.objects.exists()


def test_who_may_not_see_requests_sees_no_preview(world):
    stranger = Client()
    stranger.force_login(User.objects.create(username="stranger", is_staff=True))
    request = tight()
    assert stranger.get(reverse("admin:policies_preview_section", args=(request.pk,))).status_code == 403
    assert press(stranger, request).status_code == 403


def test_who_is_for_other_accounts_gets_no_preview_of_a_request_and_sees_none(world):
    request = draft(new_limit("Of Another", scope="account", scope_ids=["desk-05"]))
    do_preview(acting=ALICE, **seen(request))
    one = browser("dora", CHANGE_LIMITS)
    dora = User.objects.get(username="dora")
    AccountGrant.objects.create(user=dora, account_id="desk-03")
    one.force_login(dora)  # a session ends with a change of rights
    assert one.get(reverse("admin:policies_preview_section", args=(request.pk,))).status_code == 403
    assert press(one, request).status_code == 403
    with pytest.raises(NotTheirAccount):
        do_preview(acting=acting("dora", [CHANGE_LIMITS], ["desk-03"]), **seen(request))


def test_a_request_that_is_closed_is_not_previewed_any_more(world, officer):
    request = leverage("8")
    published(request)
    assert text(page(officer, request)).endswith("No preview was made of this request.")


def test_who_is_for_some_accounts_sees_those_alone(world):
    request = tight()
    do_preview(acting=ALICE, **seen(request))
    one = browser("dora", APPROVE_LIMITS)
    dora = User.objects.get(username="dora")
    AccountGrant.objects.create(user=dora, account_id="desk-03")
    one.force_login(dora)  # a session ends with a change of rights
    shown = text(page(one, request))
    assert "Listed are the accounts that you are for" in shown
    assert set(re.findall(r"desk-\d\d", shown)) == {"desk-03"}
