"""How people and machines get into an embedded installation: made once, kept in RISK_DATA_DIR/sign-in.txt."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from django.contrib.auth.models import User
from msgspec import Struct

from api.grants import Word
from api.keys import do_create_key, do_rotate_key
from api.models import ApiKey
from audit.acting import system
from audit.people import do_create_superuser

USER = "officer"
FILE = "sign-in.txt"
ACTOR = "manage.py up"

_REASON = "An embedded installation was started"
_KEYS = {
    "embedded-user": (Word.CHECK, Word.FEED, Word.READ, Word.OPERATE),
    "embedded-simulator": (Word.CHECK, Word.FEED, Word.READ),
}


class SignIn(Struct, frozen=True):
    """What gets one in. `password` is empty where it was changed, and is not known here."""

    password: str
    user_key: str
    simulator_key: str


def ensure_sign_in(directory: Path) -> SignIn:
    """Return the sign-in of the embedded installation in `directory`, made where it is not there."""
    file = directory / FILE
    kept = _read(file)
    password = _ensure_user(file, kept)
    user_key, simulator_key = (_ensure_key(name, kept.get(name, "")) for name in _KEYS)
    wanted = {"user": USER, "password": password, **dict(zip(_KEYS, (user_key, simulator_key), strict=True))}
    if wanted != kept:
        _write(file, wanted)
    return SignIn(password, user_key, simulator_key)


def _ensure_user(file: Path, kept: dict[str, str]) -> str:
    password = kept.get("password", "")
    user = User.objects.filter(username=USER).first()
    if user is not None:
        return password if user.check_password(password) else ""
    password = password or secrets.token_urlsafe(12)
    # First the file: a password that is nowhere to be read would let nobody in.
    _write(file, {**kept, "user": USER, "password": password})
    do_create_superuser(actor=ACTOR, reason=_REASON, username=USER, password=password)
    return password


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
