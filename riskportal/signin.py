"""How people and machines get into an embedded installation: made once, kept in RISK_DATA_DIR/sign-in.txt."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from django.contrib.auth.models import Group, User
from django.db import transaction
from msgspec import Struct

from api.grants import Word
from api.keys import do_create_key, do_rotate_key
from api.models import ApiKey
from audit.acting import system
from audit.people import do_create_superuser, evidence, record_change
from audit.role_groups import ensure_roles

USER = "officer"
# Somebody else, who approves what the officer asks for. Without a second person nothing that loosens goes live.
APPROVER = "approver"
FILE = "sign-in.txt"
ACTOR = "manage.py up"

_REASON = "An embedded installation was started"
_KEYS = {
    "embedded-user": (Word.CHECK, Word.FEED, Word.READ, Word.OPERATE),
    "embedded-simulator": (Word.CHECK, Word.FEED, Word.READ),
}

# Which line of the file has the password of the person in another line.
_PASSWORDS = {"user": "password", "approver": "approver-password"}


class SignIn(Struct, frozen=True):
    """What gets one in. A password is empty where it was changed, and is not known here."""

    password: str
    approver_password: str
    user_key: str
    simulator_key: str


def ensure_sign_in(directory: Path) -> SignIn:
    """Return the sign-in of the embedded installation in `directory`, made where it is not there."""
    file = directory / FILE
    password = _ensure_user(file, USER, "user", _create_officer)
    approver_password = _ensure_user(file, APPROVER, "approver", _create_approver)
    kept = _read(file)
    user_key, simulator_key = (_ensure_key(name, kept.get(name, "")) for name in _KEYS)
    wanted = {
        **{"user": USER, "password": password, "approver": APPROVER, "approver-password": approver_password},
        **dict(zip(_KEYS, (user_key, simulator_key), strict=True)),
    }
    if wanted != kept:
        _write(file, wanted)
    return SignIn(password, approver_password, user_key, simulator_key)


def _ensure_user(file: Path, name: str, line: str, create: Callable[[str], None]) -> str:
    """Return the password of somebody, made with them where they are not there; empty where it was changed."""
    kept, password_line = _read(file), _PASSWORDS[line]
    password = kept.get(password_line, "")
    user = User.objects.filter(username=name).first()
    if user is not None:
        return password if user.check_password(password) else ""
    password = password or secrets.token_urlsafe(12)
    # First the file: a password that is nowhere to be read would let nobody in.
    _write(file, {**kept, line: name, password_line: password})
    create(password)
    return password


def _create_officer(password: str) -> None:
    do_create_superuser(actor=ACTOR, reason=_REASON, username=USER, password=password)


@transaction.atomic
def _create_approver(password: str) -> None:
    ensure_roles()
    user = User(username=APPROVER, is_staff=True)
    user.set_password(password)
    user.save()
    user.groups.set(Group.objects.filter(name="approver"))
    record_change(user, "create", actor=ACTOR, reason=_REASON, before=None, after=evidence(user))


def _ensure_key(name: str, text: str) -> str:
    """Return a key that is good: the one kept, or one with a new secret."""
    row = ApiKey.objects.filter(name=name).first()
    if row is None:
        return do_create_key(acting=system(ACTOR), reason=_REASON, name=name, permissions=_KEYS[name]).text
    secret = text.rpartition("_")[2]
    if row.revoked_at is not None or hashlib.sha256(secret.encode()).hexdigest() == row.digest:
        return text
    return do_rotate_key(acting=system(ACTOR), reason=f"{FILE} was lost", key_id=row.id).text


def _read(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.partition(": ") for line in lines)
    return {name: value.strip() for name, colon, value in pairs if colon}


def _write(path: Path, entries: dict[str, str]) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(f"{name}: {value}\n" for name, value in entries.items())
    draft.replace(path)
