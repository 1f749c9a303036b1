"""Who is for some accounts sees in the admin what is of these, and nothing of others."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection, models, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audit.models import AccountGrant, AuditEvent, JournalReject, ReservationEnd
from audit.seeing import OfAccounts, OfAll
from audit.services import record
from feeds.models import DeadLetter
from tests.support.evidence import keep
from tests.violations.subjects import broken, look
from violations.models import Alert, Violation

pytestmark = pytest.mark.django_db

# What says nothing of any account.
_OF_NOBODY = {"auth.User", "auth.Group", "policies.Policy", "policies.CapitalProfile", "policies.Instrument"}
# Pages that leave out by themselves what is not for who looks.
_BY_ITSELF = {
    "api.ApiKey",
    "policies.Book",
    "policies.ChangeRequest",
    "policies.Preview",
    "reports.Report",
    "reports.Schedule",
}


@pytest.fixture
def dora() -> Client:
    """Somebody who may read everything, for account A."""
    return signed_in("dora", "A")


def signed_in(name: str, *accounts: str) -> Client:
    user = User.objects.create(username=name, is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    AccountGrant.objects.bulk_create(AccountGrant(user=user, account_id=each) for each in accounts)
    client = Client()
    client.force_login(user)
    return client


def listed(client: Client, model: type[models.Model]) -> set[str]:
    """Return the keys in a list of the admin."""
    answer = client.get(page_of(model))
    assert answer.status_code == 200
    return {str(row.pk) for row in answer.context["cl"].result_list}


def page_of(model: type[models.Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def address(row: models.Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=(row.pk,))


def end(account_id: str) -> ReservationEnd:
    fields: dict[str, Any] = {"order_id": "o", "actor": "x", "ended_at": timezone.now()}
    row = ReservationEnd(decision_id=uuid4(), account_id=account_id, **fields)
    keep(row)
    return row


@pytest.mark.parametrize("model", [Violation, Alert])
def test_rows_of_other_accounts_and_of_the_firm_are_not_theirs(dora, model):
    look(0, broken(), broken(account_id="B"), broken(account_id=""), accounts=("A", "B", ""))
    mine = model.objects.get(account_id="A")
    assert listed(dora, model) == {str(mine.pk)}
    for other in model.objects.exclude(account_id="A"):
        assert dora.get(address(other)).status_code == 302  # to the list: there is no such row
    assert dora.get(address(mine)).status_code == 200


def test_an_alert_of_another_account_is_not_acted_on_by_hand(dora):
    look(0, broken(account_id="B"), accounts=("B",))
    other = Alert.objects.get()
    dora.post(address(other), {"act": "acknowledge", "note": "mine"})
    other.refresh_from_db()
    assert other.state == "firing"


def test_who_is_for_every_account_sees_all():
    mine, other = end("A"), end("B")
    assert listed(signed_in("olga"), ReservationEnd) == {str(mine.pk), str(other.pk)}
    assert listed(signed_in("dora", "A"), ReservationEnd) == {str(mine.pk)}


def test_what_concerns_all_accounts_is_nothing_for_them(dora):
    with transaction.atomic():
        record(actor="a", action="b", object_type="c", object_id=1, object_label="d", reason="e")
    DeadLetter.objects.create(subject="s", payload=b"", error="?", received_at=timezone.now())
    keep(JournalReject(lane=0, generation="g", entry_id="1", content=b"", error="?", rejected_at=timezone.now()))
    for model in (AuditEvent, DeadLetter, JournalReject):
        assert (
            dora.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")).status_code == 403
        )
        assert dora.get(address(model._default_manager.get())).status_code == 403


def test_of_every_page_of_the_admin_it_is_said_whose_it_is():
    unsaid = [
        model._meta.label
        for model, page in admin.site._registry.items()
        if not isinstance(page, OfAccounts | OfAll) and model._meta.label not in _OF_NOBODY | _BY_ITSELF
    ]
    assert unsaid == []


def test_all_that_a_person_may_is_read_once_for_a_page():
    client = signed_in("olga")
    with CaptureQueriesContext(connection) as captured:
        client.get(page_of(Alert))
    assert len([each for each in captured if 'FROM "auth_permission"' in each["sql"]]) == 1
    # Whether the session is still good is another question, with a query of its own.
    asked = [each["sql"] for each in captured if " UNION " not in each["sql"]]
    assert len([sql for sql in asked if 'FROM "audit_accountgrant"' in sql]) == 1
