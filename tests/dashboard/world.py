"""What pages are tested on: a live state, people with some permissions, and pages as they read them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from api import desk
from audit.drain import drain
from audit.models import AccountGrant, OrderDecision
from feeds.books import BOOKS
from policies.defaults import ensure_defaults
from policies.services import do_create_account
from riskcore.types import Order
from riskportal.restore import Outcome, restore_if_empty
from state.wiring import forget_stores
from tests.emergency.world import ACCOUNTS, World, order
from tests.support.beginning import begin_with

__all__ = ["ALL", "MARKUP", "Reader", "World", "alive", "big", "decided", "order", "signed_in"]

MARKUP = "<script>alert(1)</script> \"><img src=x onerror=alert(2)> {{ 7 }} & 'quoted'"
ALL = tuple(
    f"{app}.{name}"
    for app, names in {
        "policies": "view_account view_policy view_capitalprofile view_override view_restrictedsymbol view_book "
        "view_changerequest",
        "emergency": "view_emergencystop view_stopaccount engage_stop lift_stop",
        "violations": "view_alert view_violation handle_alert",
        "audit": "view_orderdecision view_reservationend release_reservation",
    }.items()
    for name in names.split()
)


class Reader:
    """Somebody's browser, as far as pages are read."""

    def __init__(self, user: User) -> None:
        self.user, self.client = user, Client()
        self.client.force_login(user)

    def get(self, path: str, status: int = 200) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == status, answer.content.decode()[-2_000:]
        return answer

    def queries(self, path: str) -> int:
        """Return how many queries a page takes, once what a process keeps is there."""
        self.get(path)
        with CaptureQueriesContext(connection) as seen:
            self.get(path)
        assert len(seen) <= 12, [each["sql"] for each in seen]
        return len(seen)

    def read(self, path: str, status: int = 200) -> str:
        """Return a page's source, with its blanks made one and none between a tag and its text."""
        source = " ".join(self.get(path, status).content.decode().split())
        return source.replace("> ", ">").replace(" <", "<")


def signed_in(name: str, *permissions: str, accounts: tuple[str, ...] = ()) -> Reader:
    """Return somebody of the staff with these permissions, for these accounts (none: all)."""
    user = User.objects.create(username=name, is_staff=True)
    for each in permissions:
        app, _, codename = each.partition(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    AccountGrant.objects.bulk_create(AccountGrant(user=user, account_id=each) for each in accounts)
    return Reader(user)


@contextmanager
def alive(settings: Any, directory: Path) -> Iterator[World]:
    """Have a live state in memory on which orders are approved."""
    settings.REDIS_URL, settings.RISK_DATA_DIR = "", directory
    forget_stores()
    BOOKS.forget()
    desk._desk = None
    begin_with("accounts", _rows)
    found = World("", directory)
    assert restore_if_empty(found.store).outcome is Outcome.RESTORED
    found.feed()
    yield found
    found.store.close()
    forget_stores()
    BOOKS.forget()


def _rows() -> None:
    ensure_defaults()
    for account_id in ACCOUNTS:
        do_create_account(actor="test", reason="test", account_id=account_id, profile="aggressive", exchange="BINANCE")


def decided(world: World, asked: Order | None = None, **what: Any) -> OrderDecision:
    """Have an order decided, and return the decision as it was recorded."""
    answered = world.check(asked or order(**what))
    drain(world.store)
    key = UUID(msgspec.json.decode(answered.decision)["decision_id"])
    return OrderDecision.objects.get(pk=key)


def big(**what: Any) -> Order:
    """Return an order that breaks a limit."""
    return order(**{"quantity": Decimal(1_000), **what})
