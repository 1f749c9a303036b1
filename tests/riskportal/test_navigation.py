"""The side bar: each role finds what it may see, and nothing that would refuse it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from audit.models import AccountGrant
from audit.role_groups import ensure_roles
from audit.roles import ROLES
from riskportal.navigation import SIDEBAR

pytestmark = pytest.mark.django_db

ITEMS: list[Any] = [item for part in SIDEBAR["navigation"] for item in part["items"]]


def signed_in(*roles: str, account: str = "") -> Client:
    ensure_roles()
    user = User.objects.create(username="olga", is_staff=True)
    user.groups.set(Group.objects.filter(name__in=roles))
    if account:
        AccountGrant.objects.create(user=user, account_id=account)
    client = Client()
    client.force_login(user)
    return client


def links(client: Client) -> list[str]:
    page = client.get(reverse("admin:index")).content.decode()
    return [item["title"] for item in ITEMS if f'href="{item["link"]}"' in page]


@pytest.mark.parametrize("role", [role.name for role in ROLES])
@pytest.mark.parametrize("account", ["", "A"], ids=["all accounts", "one account"])
def test_every_link_that_is_shown_opens_and_no_other_page_does(role, account):
    client = signed_in(role, account=account)
    shown = links(client)
    opened = [item["title"] for item in ITEMS if client.get(str(item["link"])).status_code == 200]
    assert shown == opened


def test_somebody_without_a_role_finds_their_own_keys_and_nothing_else():
    assert links(signed_in()) == ["API keys"]


def test_a_viewer_finds_no_evidence_of_what_people_did():
    assert not {"Audit log", "Users", "Groups", "Dead letters"} & set(links(signed_in("viewer")))


def test_an_auditor_finds_everything():
    assert links(signed_in("auditor")) == [item["title"] for item in ITEMS]


def test_who_is_for_one_account_finds_no_audit_log():
    assert "Audit log" not in links(signed_in("auditor", account="A"))
