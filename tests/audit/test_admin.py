"""Decisions and their companions in the admin: shown, found, and not to be touched."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.drain import drain
from audit.models import JournalReject, OrderDecision, ReservationEnd
from tests.audit.subjects import Journal, decided, inputs, released

pytestmark = pytest.mark.django_db

LIST = "admin:audit_orderdecision_changelist"


@pytest.fixture
def auditor(client):
    client.force_login(User.objects.create(username="audrey", is_staff=True, is_superuser=True))
    return client


def page(client, name: str, *args: object, **query: str) -> str:
    response = client.get(reverse(name, args=args), query)
    assert response.status_code == 200
    text: str = response.content.decode()
    return text


def test_decisions_are_found_by_account_order_or_symbol(auditor):
    drain(Journal(*(decided(inputs(order_id=f"find-{number}")) for number in range(3))))
    assert "find-1" in page(auditor, LIST, q="find-1")
    assert "find-2" not in page(auditor, LIST, q="find-1")
    assert "find-2" in page(auditor, LIST, q="desk-1")
    assert "find-2" not in page(auditor, LIST, q="nobody")


def test_decisions_are_filtered_by_verdict_and_reason(auditor):
    drain(Journal(decided(inputs(order_id="good")), decided(inputs(order_id="bad", account_id="nobody"))))
    assert "good" not in page(auditor, LIST, reason="unknown_account")
    assert "bad" not in page(auditor, LIST, verdict="allow")


def test_a_decision_is_shown_with_its_numbers_as_they_came(auditor):
    drain(Journal(decided(inputs(quantity=Decimal("1.10"), price=Decimal("50000.25")))))
    shown = page(auditor, "admin:audit_orderdecision_change", OrderDecision.objects.get().pk)
    assert "1.1<" in shown
    assert "50000.25<" in shown
    assert "post_trade_metrics" in shown


def test_a_list_of_decisions_neither_counts_them_nor_asks_for_each(auditor):
    drain(Journal(*(decided() for _ in range(5))))
    page(auditor, LIST)
    with CaptureQueriesContext(connection) as captured:
        page(auditor, LIST)
    asked = [query["sql"] for query in captured if "audit_orderdecision" in query["sql"]]
    assert len(asked) == 1
    assert "COUNT" not in asked[0]


def test_ended_reservations_and_rejects_are_shown(auditor):
    drain(Journal(released(order_id="o-9"), b"not json"))
    assert "o-9" in page(auditor, "admin:audit_reservationend_changelist")
    assert "o-9" in page(auditor, "admin:audit_reservationend_change", ReservationEnd.objects.get().pk)
    assert "not json" in page(auditor, "admin:audit_journalreject_change", JournalReject.objects.get().pk)


@pytest.mark.parametrize("model", ["orderdecision", "auditevent", "reservationend", "journalreject"])
def test_nobody_adds_evidence(auditor, model):
    assert auditor.get(reverse(f"admin:audit_{model}_add")).status_code == 403
