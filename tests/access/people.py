"""What the tests here share: a browser that signs in, codes as a phone shows them, and the log of it all."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from access.models import SecondFactor
from access.second_factor import do_set_up_factor, new_salt
from access.totp import STEP_S, code_at
from audit.models import AuditEvent

PASSWORD = "correct horse battery"
OTHER_PASSWORD = "another one entirely"
ADDRESS = "203.0.113.7"


class Browser(Client):
    """A browser at an address, that asks for pages."""

    def __init__(self, address: str = ADDRESS) -> None:
        super().__init__(REMOTE_ADDR=address, HTTP_ACCEPT="text/html")

    def give(self, username: str, password: str = PASSWORD, **more: str) -> Any:
        """Give name and password on the sign-in page."""
        return self.post(reverse("access:sign-in"), {"username": username, "password": password, **more})

    def give_code(self, code: str) -> Any:
        """Give a code on the page that asks for it."""
        return self.post(reverse("access:code"), {"code": code})

    @property
    def is_in(self) -> bool:
        """Return whether the pages let this browser in."""
        return self.get(reverse("access:me")).status_code == 200


def with_factor(user: User) -> list[str]:
    """Give somebody a second factor, by a code of ten minutes ago, and return its recovery codes."""
    salt, then = new_salt(), datetime.fromtimestamp(datetime.now(UTC).timestamp() - 600, UTC)
    codes = do_set_up_factor(user, salt, code_at(salt, int(then.timestamp()) // STEP_S), now=then)
    assert codes is not None
    return codes


def shown_code(user: User) -> str:
    """Return what the app of somebody shows now."""
    return code_at(SecondFactor.objects.get(user=user).salt, int(datetime.now(UTC).timestamp()) // STEP_S)


def wrong_code(user: User) -> str:
    """Return a code that is wrong now and for the next while."""
    salt, step = SecondFactor.objects.get(user=user).salt, int(datetime.now(UTC).timestamp()) // STEP_S
    good = {code_at(salt, step + off) for off in range(-3, 10)}
    return next(code for code in ("000000", *(f"{number:06d}" for number in range(1, 20))) if code not in good)


def events(start: str = "") -> list[AuditEvent]:
    """Return the events whose action starts so, oldest first."""
    return list(AuditEvent.objects.filter(action__startswith=start).order_by("sequence"))


def actions(start: str = "sign_in") -> list[str]:
    """Return the actions of those events."""
    return [event.action for event in events(start)]


def said(response: Any) -> str:
    """Return the text of a page without its marks."""
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())
