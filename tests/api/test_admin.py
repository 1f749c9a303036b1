"""API keys in the admin."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from api.keys import do_create_key
from api.models import ApiKey
from audit.acting import system
from audit.models import AuditEvent

pytestmark = pytest.mark.django_db(transaction=True)

NEW = {"name": "oms", "permissions": "check, read", "accounts": "", "per_second": "", "reason": "a new OMS"}


@pytest.fixture
def client(store) -> Client:
    found = Client()
    found.force_login(User.objects.create_superuser("root"))
    return found


@pytest.fixture
def key(client) -> ApiKey:
    return do_create_key(acting=system("alice"), reason="a new OMS", name="oms", permissions=("check",)).row


def add(client: Client, **what: str):
    given = {**NEW, "expires_at_0": "", "expires_at_1": "", **what}
    return client.post(reverse("admin:api_apikey_add"), given, follow=True)


def change(client: Client, key: ApiKey, what: str, reason: str = "a leak"):
    address = reverse("admin:api_apikey_change", args=(key.pk,))
    return client.post(address, {"change": what, "reason": reason}, follow=True)


def shown(page) -> str:
    return str(page.content.decode())


def test_a_new_key_is_shown_once(client):
    page = add(client)

    row = ApiKey.objects.get()
    assert row.permissions == ["check", "read"]
    assert f"rp_{row.id}_" in shown(page)
    again = client.get(reverse("admin:api_apikey_change", args=(row.pk,)))
    assert f"rp_{row.id}_" not in shown(again)
    assert row.digest not in shown(again)


def test_it_is_audited_under_the_name_of_whoever_made_it(client):
    add(client)

    event = AuditEvent.objects.get(action="api_key.create")
    assert (event.actor, event.reason) == ("root", "a new OMS")


@pytest.mark.parametrize("wrong", [{"reason": ""}, {"permissions": "fly"}, {"name": "a b"}, {"accounts": "nobody"}])
def test_what_makes_no_sense_is_shown_on_the_form(client, wrong):
    page = add(client, **wrong)

    assert page.status_code == 200
    assert not ApiKey.objects.exists()
    assert "error" in shown(page)


def test_a_key_is_revoked_with_a_reason(client, key):
    change(client, key, "revoke")

    key.refresh_from_db()
    assert key.revoked_at is not None
    assert AuditEvent.objects.get(action="api_key.revoke").reason == "a leak"


def test_a_new_secret_is_shown_once(client, key):
    page = change(client, key, "rotate")

    assert f"rp_{key.id}_" in shown(page)
    key.refresh_from_db()
    assert key.rotated_at is not None


def test_without_a_reason_nothing_changes(client, key):
    change(client, key, "revoke", reason="")

    key.refresh_from_db()
    assert key.revoked_at is None


def test_a_revoked_key_can_only_be_read(client, key):
    change(client, key, "revoke")

    change(client, key, "rotate")

    assert not AuditEvent.objects.filter(action="api_key.rotate").exists()


def test_keys_are_not_deleted(client, key):
    assert client.post(reverse("admin:api_apikey_delete", args=(key.pk,)), {"post": "yes"}).status_code == 403


def test_the_list_says_what_each_may(client, key):
    page = shown(client.get(reverse("admin:api_apikey_changelist")))

    assert "active" in page
    assert "check" in page
