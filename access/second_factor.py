"""Setting up a second factor, asking for it, and taking it away; each is in the audit log, without any code."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Literal

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils.crypto import salted_hmac

from access.models import RecoveryCode, SecondFactor
from access.totp import DIGITS, step_of
from audit.services import record

RECOVERY_CODES = 10
# Without letters and digits that are taken for each other: 5 bits each, 80 bits a code.
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_CODE_LENGTH = 16
_SALT_BYTES = 32

Taken = Literal["code", "recovery code"]


class TooManyCodes(Exception):
    """So many wrong codes were given for somebody that no more are looked at for a while."""


def factor_of(user: User) -> SecondFactor | None:
    """Return the second factor that is asked of a person; None where there is none."""
    return SecondFactor.objects.filter(user=user).first()


def new_salt() -> str:
    """Return what a new second factor is made of. Nothing is asked of anybody before its first code was given."""
    return secrets.token_hex(_SALT_BYTES)


@transaction.atomic
def do_set_up_factor(user: User, salt: str, code: str, *, now: datetime) -> list[str] | None:
    """Give a person a second factor by its first code, and return its recovery codes, to be shown once.

    It takes the place of the one that they have. None where the code is wrong: nothing was changed.
    """
    step = step_of(salt, _plain(code), now=now, after=0)
    if step is None:
        return None
    had_one, _ = SecondFactor.objects.filter(user=user).delete()
    factor = SecondFactor.objects.create(user=user, salt=salt, since=now, last_step=step)
    codes = _new_codes(factor)
    reason = f"Set up {'another' if had_one else 'a'} second factor"
    _record(user, "second_factor_on", actor=user.get_username(), reason=reason)
    return codes


@transaction.atomic
def do_take_code(user: User, text: str, *, now: datetime) -> Taken | None:
    """Take a code of the app, or a recovery code, and return which it was; None: it is wrong.

    Each is good once. Raises TooManyCodes after RISK_LOCKOUT_FAILURES wrong ones in a row, from wherever they came,
    for RISK_LOCKOUT_TIME: whoever gives codes has the password already.
    """
    factor = SecondFactor.objects.select_for_update().filter(user=user).first()
    if factor is None:
        return None
    if is_blocked(factor, now):
        raise TooManyCodes
    taken = _take(factor, _plain(text), now)
    if taken is None:
        over = factor.failed_at is None or now - factor.failed_at >= settings.RISK_LOCKOUT_TIME
        factor.failures, factor.failed_at = (1 if over else factor.failures + 1), now
    else:
        factor.failures, factor.failed_at = 0, None
    factor.save()
    if taken == "recovery code":
        left = factor.recovery_codes.count()
        _record(user, "recovery_code", actor=user.get_username(), reason=f"Gave a recovery code; {left} are left")
    return taken


def is_blocked(factor: SecondFactor, now: datetime) -> bool:
    """Return whether so many codes were wrong that none is looked at for now."""
    if factor.failed_at is None or factor.failures < settings.RISK_LOCKOUT_FAILURES:
        return False
    return now - factor.failed_at < settings.RISK_LOCKOUT_TIME


@transaction.atomic
def do_renew_codes(user: User) -> list[str]:
    """Return new recovery codes, to be shown once. The old ones are good no more."""
    factor = SecondFactor.objects.select_for_update().get(user=user)
    codes = _new_codes(factor)
    _record(user, "recovery_codes", actor=user.get_username(), reason="Had new recovery codes made")
    return codes


@transaction.atomic
def do_remove_factor(user: User, *, actor: str, reason: str) -> bool:
    """Take a person's second factor away, and return whether there was one. Their sessions end.

    Raises ValueError where there is no reason.
    """
    deleted, _ = SecondFactor.objects.filter(user=user).delete()
    if deleted:
        _record(user, "second_factor_off", actor=actor, reason=reason)
    return bool(deleted)


def _take(factor: SecondFactor, plain: str, now: datetime) -> Taken | None:
    if len(plain) == DIGITS:
        step = step_of(factor.salt, plain, now=now, after=factor.last_step)
        if step is None:
            return None
        factor.last_step = step
        return "code"
    used, _ = factor.recovery_codes.filter(digest=_digest(plain)).delete()
    return "recovery code" if used else None


def _new_codes(factor: SecondFactor) -> list[str]:
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH)) for _ in range(RECOVERY_CODES)]
    factor.recovery_codes.all().delete()
    RecoveryCode.objects.bulk_create(RecoveryCode(factor=factor, digest=_digest(code)) for code in codes)
    return ["-".join(code[at : at + 4] for at in range(0, _CODE_LENGTH, 4)) for code in codes]


def _plain(text: str) -> str:
    """Return a code as it was made, however it was typed."""
    return "".join(text.split()).replace("-", "").upper()


def _digest(code: str) -> str:
    return salted_hmac("access.recovery", code, algorithm="sha256").hexdigest()


def _record(user: User, verb: str, *, actor: str, reason: str) -> None:
    name = user.get_username()
    record(actor=actor, action=f"user.{verb}", object_type="user", object_id=user.pk, object_label=name, reason=reason)
