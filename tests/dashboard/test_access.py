"""Who is let in to the pages."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from audit.models import AccountGrant

pytestmark = pytest.mark.django_db


def member(*permissions: str, **what: Any) -> Client:
    """Return the browser of somebody of the staff with these permissions."""
    user = User.objects.create(username="vera", **{"is_staff": True, **what})
    for name in permissions:
        user.user_permissions.add(Permission.objects.get(content_type__app_label="policies", codename=name))
    client = Client()
    client.force_login(user)
    return client


def test_who_is_not_signed_in_is_led_to_the_sign_in_and_back():
    answer = Client().get("/?accounts=near")
    assert answer.status_code == 302
    assert answer.headers["location"].endswith("?next=/%3Faccounts%3Dnear")


def test_who_may_not_see_accounts_is_told_by_which_permission_they_would():
    answer = member().get("/")
    assert answer.status_code == 403
    assert "policies.view_account" in answer.content.decode()


def test_who_is_not_of_the_staff_is_refused():
    assert member("view_account", is_staff=False).get("/").status_code == 403


def test_who_may_see_accounts_sees_the_overview():
    assert member("view_account").get("/").status_code == 200


def test_a_page_is_kept_nowhere():
    assert member("view_account").get("/").headers["cache-control"] == "no-store"


def test_the_stop_button_is_only_there_for_those_who_may_stop():
    assert 'id="stop-open"' not in member("view_account").get("/").content.decode()
    operator = Client()
    operator.force_login(User.objects.create(username="olga", is_staff=True, is_superuser=True))
    assert 'id="stop-open"' in operator.get("/").content.decode()


def test_who_is_for_some_accounts_cannot_stop_everything():
    limited = User.objects.create(username="lisa", is_staff=True)
    for app, name in (("policies", "view_account"), ("emergency", "engage_stop")):
        limited.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=name))
    AccountGrant.objects.create(user=limited, account_id="desk-1")
    client = Client()
    client.force_login(limited)
    page = client.get("/").content.decode()
    assert 'data-accounts="desk-1"' in page
    assert '<option value="account">' in page
    assert '<option value="global">' not in page


def test_there_is_no_script_or_style_within_the_page():
    page = member("view_account").get("/").content.decode()
    assert "<style" not in page
    assert " style=" not in page
    assert " on" not in {part[:3] for part in page.split('"')}
    assert all("src=" in part.split(">")[0] for part in page.split("<script")[1:])
