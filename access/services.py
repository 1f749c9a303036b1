"""Signing in and out, and changing one's own password: what happens and its event, in one transaction."""

from __future__ import annotations

from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest

from access.evidence import record_sign_in, record_sign_out
from access.second_factor import Taken
from audit.people import record_password

_BACKEND = "audit.rights.Rights"


@transaction.atomic
def do_sign_in(request: HttpRequest, user: User, *, by_code: Taken | None) -> None:
    """Sign somebody in who has shown who they are, with a new session.

    `by_code` says which code they gave; None where none is asked of them.
    """
    login(request, user, backend=_BACKEND)
    record_sign_in(request, user, second_factor=by_code or "none")


@transaction.atomic
def do_sign_out(request: HttpRequest, user: User, *, actor: str, reason: str) -> None:
    """Sign somebody out. Nothing of their session is left."""
    logout(request)
    record_sign_out(request, user, actor=actor, reason=reason)


@transaction.atomic
def do_change_own_password(request: HttpRequest, user: User, password: str) -> None:
    """Give somebody the password that they chose. Their other sessions end, this one has a new key."""
    user.set_password(password)
    user.save(update_fields=["password"])
    update_session_auth_hash(request, user)
    record_password(user, actor=user.get_username(), reason="Changed their own password")
