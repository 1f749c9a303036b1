"""The admin: violations to read, alerts to read and to act on, and nothing in a name that a browser runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audit.models import AuditEvent
from tests.violations.subjects import MARKUP, at, broken, look, only_alert, only_violation, raised
from violations.models import Alert, BreakerTrip

pytestmark = pytest.mark.django_db


def signed_in(client: Any, name: str, *codenames: str) -> Any:
    user = User.objects.create(username=name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return client


@pytest.fixture
def officer(client):
    return signed_in(client, "olga", "view_alert", "view_violation", "view_breakertrip", "handle_alert")


@pytest.fixture
def viewer(client):
    return signed_in(client, "viktor", "view_alert", "view_violation", "view_breakertrip")


def address(row: Any, page: str = "change") -> str:
    return reverse(f"admin:violations_{row._meta.model_name}_{page}", args=[row.pk] if page != "changelist" else [])


def shown(client: Any, url: str, **query: str) -> str:
    response = client.get(url, query)
    assert response.status_code == 200
    text: str = response.content.decode()
    return text


def test_who_may_only_look_acts_on_nothing(viewer):
    alert = raised()
    assert 'name="note"' not in shown(viewer, address(alert))
    assert viewer.post(address(alert), {"act": "acknowledge", "note": "on it"}).status_code == 403
    assert only_alert().state == "firing"


@pytest.mark.parametrize("page", ["add", "delete"])
def test_nobody_adds_or_deletes(officer, page):
    alert = raised()
    for row in (alert, only_violation()):
        arguments = [] if page == "add" else [row.pk]
        url = reverse(f"admin:violations_{row._meta.model_name}_{page}", args=arguments)
        assert officer.get(url).status_code == 403
        assert officer.post(url, {"post": "yes"}).status_code == 403
    assert Alert.objects.exists()


@pytest.mark.parametrize("wrong", [{"note": " "}, {"note": "x" * 501}, {"act": "delete"}, {}])
def test_what_is_not_said_properly_is_refused_on_the_form(officer, wrong):
    alert = raised()
    sent = {"act": "acknowledge", "note": "on it", **wrong} if wrong else {}
    response = officer.post(address(alert), sent)
    assert response.status_code == 200
    assert response.context["adminform"].form.errors
    assert only_alert().state == "firing"
    assert not AuditEvent.objects.exists()


def test_an_alert_is_acknowledged_and_not_twice(officer):
    alert = raised()
    response = officer.post(address(alert), {"act": "acknowledge", "note": "on it"}, follow=True)
    assert "The alert is acknowledged." in response.content.decode()
    assert (only_alert().state, only_alert().acknowledged_by, only_alert().note) == ("acknowledged", "olga", "on it")
    assert AuditEvent.objects.get().actor == "olga"
    again = officer.post(address(alert), {"act": "acknowledge", "note": "mine"})
    assert "olga acknowledged this alert" in str(again.context["adminform"].form.errors)


def test_an_alert_is_silenced_for_a_while(officer):
    alert = raised()
    response = officer.post(address(alert), {"act": "240", "note": "known"}, follow=True)
    assert "The alert is silenced until" in response.content.decode()
    until = only_alert().silenced_until
    assert until is not None
    assert abs(until - timezone.now() - timedelta(hours=4)) < timedelta(minutes=1)


def test_violations_are_shown_with_their_worst(viewer):
    for second, value in enumerate(["12", "15.50", "11"]):
        look(second, broken(value, symbol="BTCUSDT"))
    assert "15.5<" in shown(viewer, address(only_violation(), "changelist"))
    page = shown(viewer, address(only_violation()))
    assert "15.5<" in page
    assert "Max Leverage" in page


def test_they_are_found_by_account_and_policy(viewer):
    look(0, broken(policy_name="Leverage of A"), broken(policy_name="Leverage of B", account_id="B"))
    found = shown(viewer, reverse("admin:violations_violation_changelist"), q="B")
    assert "Leverage of B" in found
    assert "Leverage of A" not in found


def test_a_trip_is_shown(viewer):
    trip = BreakerTrip.objects.create(
        account_id="A",
        at=at(0),
        violations=5,
        window_s=60,
        scope="account",
        scope_id="A",
        state="HALTED",
        retry_at=at(0),
    )
    assert "HALTED" in shown(viewer, address(trip, "changelist"))
    assert "HALTED" in shown(viewer, address(trip))


def test_markup_in_names_is_shown_as_text(officer, settings):
    settings.RISK_ALERT_WEBHOOK_URL = "http://127.0.0.1:9/"
    alert = raised(policy_name=MARKUP, message=MARKUP, symbol="<b>", account_id="<i>")
    officer.post(address(alert), {"act": "acknowledge", "note": MARKUP})
    for row in (alert, only_violation()):
        for page in ("changelist", "change"):
            text = shown(officer, address(row, page))
            assert "&lt;script&gt;alert(1)" in text
            assert "<script>alert(1)" not in text
            assert "<b>" not in text
            assert "<i>" not in text


@pytest.mark.parametrize("name", ["alert", "violation"])
def test_a_list_neither_counts_its_rows_nor_asks_for_each(viewer, name):
    look(0, *(broken(policy_id=f"p-{number}") for number in range(9)))
    url = reverse(f"admin:violations_{name}_changelist")
    shown(viewer, url)
    with CaptureQueriesContext(connection) as captured:
        shown(viewer, url)
    asked = [each["sql"] for each in captured if f'FROM "violations_{name}"' in each["sql"]]
    assert len(asked) == 1
    assert "COUNT" not in asked[0]
