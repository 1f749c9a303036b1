"""Locking out whoever guesses passwords or codes: a name from an address, for a while, each in the audit log.

Counted by django-axes, whose hooks these are (settings.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from axes.handlers.proxy import AxesProxyHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_login_failed
from django.db import transaction
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.crypto import salted_hmac

from access.evidence import record_failure, record_lock_out, record_unlock
from access.models import SecondFactor
from access.second_factor import is_blocked

if TYPE_CHECKING:

    class AxesDatabaseHandler:
        """Counts failures in the database."""

        def user_login_failed(
            self, sender: object, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
        ) -> None:
            """Count a failure, and lock out where there were too many."""

    class AxesStandaloneBackend:
        """Refuses whoever is locked out."""

        def authenticate(
            self, request: HttpRequest, username: str | None = None, password: str | None = None, **kwargs: Any
        ) -> None:
            """Raise AxesBackendPermissionDenied for whoever is locked out."""
else:
    from axes.backends import AxesStandaloneBackend
    from axes.handlers.database import AxesDatabaseHandler

# What was wrong, besides the password.
_WHAT = "what"


class NotLockedOut(AxesStandaloneBackend):
    """Refuses whoever is locked out, before a password is looked at. Who asks without a request is on the machine."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> None:
        if request is not None:
            super().authenticate(request, username, password, **kwargs)


class Recorded(AxesDatabaseHandler):
    """Counts failures, and writes an event of each. While somebody is locked out nothing is counted nor written."""

    def user_login_failed(
        self, sender: object, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
    ) -> None:
        if request is None:
            return
        was_locked = request.axes_locked_out  # type: ignore[attr-defined]
        with transaction.atomic():
            super().user_login_failed(sender, credentials, request, **kwargs)
            if was_locked:
                return
            user = _user(credentials)
            record_failure(request, user, what=credentials.get(_WHAT, "password"))
            if request.axes_locked_out:  # type: ignore[attr-defined]
                record_lock_out(request, user, reason=f"{settings.AXES_FAILURE_LIMIT} wrong from this address")


def name_of(_request: HttpRequest | None, credentials: Mapping[str, Any] | None) -> str:
    """Return under which name failures are counted.

    What nobody is called may be a password in the wrong field: a digest stands for it, with a colon, which no user
    name has.
    """
    name = str((credentials or {}).get("username") or "")
    if User.objects.filter(username=name).exists():
        return name
    return "nobody:" + salted_hmac("access.lockout", name, algorithm="sha256").hexdigest()[:32]


def is_allowed(request: HttpRequest, user: User) -> bool:
    """Return whether codes of a person are looked at that come from here; the answer is the lock-out's where not."""
    credentials = {"username": user.get_username()}
    if AxesProxyHandler.is_allowed(request, credentials):
        return True
    lock_out(request)
    return False


def lock_out(request: HttpRequest) -> None:
    """Have this request be answered as one of somebody who is locked out."""
    request.axes_locked_out = True  # type: ignore[attr-defined]


def count_wrong_code(request: HttpRequest, user: User) -> None:
    """Count a wrong code as a wrong password is: too many lock out."""
    credentials = {"username": user.get_username(), _WHAT: "code"}
    user_login_failed.send(sender=__name__, credentials=credentials, request=request)


def locked_out_page(
    request: HttpRequest, _response: HttpResponse | None = None, _credentials: Mapping[str, Any] | None = None
) -> HttpResponse:
    """Answer somebody who is locked out: how long it lasts and what helps."""
    lasts: timedelta = settings.RISK_LOCKOUT_TIME
    page = render(request, "access/locked_out.html", {"minutes": -(-lasts // timedelta(minutes=1))}, status=429)
    page.headers["Retry-After"] = str(int(lasts.total_seconds()))
    page.headers["Cache-Control"] = "no-store"
    return page


def is_locked_out(user: User) -> bool:
    """Return whether a person is locked out, from any address or with their codes."""
    now = timezone.now()
    factor = SecondFactor.objects.filter(user=user).first()
    if factor is not None and is_blocked(factor, now):
        return True
    counted = (
        AccessAttempt.objects.filter(username=user.get_username(), attempt_time__gte=now - settings.RISK_LOCKOUT_TIME)
        .values("ip_address")
        .annotate(failures=Sum("failures_since_start"))
    )
    return any(each["failures"] >= settings.AXES_FAILURE_LIMIT for each in counted)


@transaction.atomic
def do_unlock(user: User, *, actor: str, reason: str) -> None:
    """Let a person sign in again who is locked out, from wherever. Raises ValueError where there is no reason."""
    AccessAttempt.objects.filter(username=user.get_username()).delete()
    SecondFactor.objects.filter(user=user).update(failures=0, failed_at=None)
    record_unlock(user, actor=actor, reason=reason)


def _user(credentials: Mapping[str, Any]) -> User | None:
    return User.objects.filter(username=str(credentials.get("username") or "")).first()
