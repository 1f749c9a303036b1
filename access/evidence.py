"""What the audit log keeps of people getting in: who, from where and how, never a password or a code."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.http import HttpRequest

from access.addresses import address_of
from audit.services import record

# Not "user", under which a person's page lists what was changed about them.
KIND = "sign_in"


def record_sign_in(request: HttpRequest, user: User, *, second_factor: str) -> None:
    """Write that somebody signed in; `second_factor` says by which code, or "none". Call this last."""
    _record(request, "done", user, user.get_username(), "The password was right", {"second_factor": second_factor})


def record_sign_out(request: HttpRequest, user: User, *, actor: str, reason: str) -> None:
    """Write that somebody signed out, or was signed out by `actor`. Call this last."""
    _record(request, "ended", user, actor, reason, {})


def record_failure(request: HttpRequest, user: User | None, *, what: str) -> None:
    """Write that a password or a code (`what`) was wrong; no user: nobody has the name that was given.

    Such a name is not kept, since it may be a password that was typed into the wrong field. Call this last.
    """
    _record(request, "failed", user, _outsider(request), f"The {what} was wrong", {})


def record_lock_out(request: HttpRequest, user: User | None, *, reason: str) -> None:
    """Write that a name is locked out. Call this last."""
    _record(request, "locked", user, _outsider(request), reason, {})


def record_unlock(user: User, *, actor: str, reason: str) -> None:
    """Write that somebody is locked out no more. Call this last."""
    name = user.get_username()
    record(
        actor=actor, action=f"{KIND}.unlocked", object_type=KIND, object_id=user.pk, object_label=name, reason=reason
    )


def _record(
    request: HttpRequest, verb: str, user: User | None, actor: str, reason: str, more: dict[str, object]
) -> None:
    record(
        actor=actor,
        action=f"{KIND}.{verb}",
        object_type=KIND,
        object_id="" if user is None else user.pk,
        object_label="a name that nobody has" if user is None else user.get_username(),
        reason=reason,
        after={"address": address_of(request), **more},
    )


def _outsider(request: HttpRequest) -> str:
    """Return the actor where nobody has shown who they are. It has a blank, which no user name has."""
    return f"somebody at {address_of(request) or 'an unknown address'}"
