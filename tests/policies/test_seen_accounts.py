"""Who is for some accounts sees these in the admin, with what is restricted and asked for of them, and no others."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.db import models
from django.test import Client
from django.urls import reverse

from audit.acting import acting
from audit.models import AccountGrant
from policies.models import Account, ChangeRequest
from policies.requests.scope import may_see
from policies.requests.trying import edits_of
from tests.policies.requesting import draft, making, policy, setting
from tests.policies.subjects import account, restriction

pytestmark = pytest.mark.django_db

DORA = acting("dora", [], ["A"])


@pytest.fixture
def dora(defaults) -> Client:
    """Somebody who may read and ask for everything, for account A; there is a B too."""
    user = User.objects.create(username="dora", is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    AccountGrant.objects.create(user=user, account_id="A")
    account("A", profile="normal")
    account("B", profile="normal")
    client = Client()
    client.force_login(user)
    return client


def page(name: str, *key: object) -> str:
    return reverse(f"admin:policies_{name}", args=key)


def listed(client: Client, name: str) -> set[str]:
    return {str(row.pk) for row in client.get(page(f"{name}_changelist")).context["cl"].result_list}


def test_other_accounts_are_neither_listed_nor_opened_nor_told_of(dora):
    assert listed(dora, "account") == {"A"}
    assert dora.get(page("account_change", "A")).status_code == 200
    assert dora.get(page("account_history", "A")).status_code == 200
    assert dora.get(page("account_change", "B")).status_code == 302
    assert dora.get(page("account_history", "B")).status_code == 403
    then = Account.history.get(id="B")
    assert dora.get(page("account_simple_history", "B", then.pk)).status_code == 403


def test_an_account_of_others_is_not_changed_by_hand(dora):
    row = Account.objects.get(pk="B")
    form = {"name": "mine", "profile": "aggressive", "exchange": "", "enabled": "on", "change_reason": "x"}
    dora.post(page("account_change", "B"), {**form, "expected_version": row.version})
    assert not ChangeRequest.objects.exists()


def test_restrictions_of_other_accounts_are_not_listed(dora):
    everywhere, mine = restriction("DOGEUSDT").row, restriction("ETHUSDT", account_id="A").row
    restriction("BTCUSDT", account_id="B")
    assert listed(dora, "restrictedsymbol") == {str(everywhere.pk), str(mine.pk)}


def request_for(row: models.Model, kind: str, **fields: object) -> ChangeRequest:
    return draft(setting(row, kind, **fields))


def test_what_is_asked_for_other_accounts_is_not_shown(dora):
    other = request_for(Account.objects.get(pk="B"), "account", name="Desk B")
    mine = request_for(Account.objects.get(pk="A"), "account", name="Desk A")
    assert listed(dora, "changerequest") == {str(mine.pk)}
    assert dora.get(page("changerequest_change", other.pk)).status_code == 403
    assert dora.get(page("changerequest_change", mine.pk)).status_code == 200


def test_a_request_names_accounts_by_restrictions_and_limits_too(dora):
    fields = {"metric": "leverage", "threshold": "3", "scope": "account"}
    shown = {
        "everybody": draft(setting(policy(), threshold="9")),
        "mine": draft(making("policy", name="Mine", **fields, scope_ids=["A"])),
        "ours": draft(making("policy", name="Ours", **fields, scope_ids=["A", "B"])),
        "theirs": draft(making("policy", name="Theirs", **fields, scope_ids=["B"])),
        "restricted": draft(making("restriction", symbol="BTCUSDT", account="B", reason="x")),
    }
    assert {name for name, row in shown.items() if may_see(DORA, edits_of(row))} == {"everybody", "mine", "ours"}
