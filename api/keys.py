"""Everything that can be done with API keys. Each change is one row, one audit event, and published after commit."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from api.keyring import KeyRecord, encode_records
from api.models import ApiKey, KeyLock
from audit.services import record, snapshot
from policies.models import Account
from riskcore.calendar import microseconds
from state.store import StateUnavailable, Store
from state.wiring import store

logger = logging.getLogger(__name__)

MANAGE = "api.manage_keys"

_ID_BYTES = 6
_SECRET_BYTES = 32


@dataclass
class KeyChange:
    """A change of a key that was made.

    `text` is the key itself, which is kept nowhere and cannot be shown again; empty where the change made none.
    `live` is None until the transaction commits; False: the live state is away, and doors let nobody in.
    """

    row: ApiKey
    text: str = ""
    live: bool | None = None


class NoSuchKey(Exception):
    """There is no such key, or it was revoked, which is for good."""


@transaction.atomic
def do_create_key(
    *,
    actor: str,
    reason: str,
    name: str,
    permissions: Iterable[str],
    accounts: Iterable[str] = (),
    per_second: int | None = None,
    expires_at: datetime | None = None,
) -> KeyChange:
    """Make a key and return it, for the only time. Raises ValidationError by field."""
    text, key_id, digest = _new_key(secrets.token_hex(_ID_BYTES))
    row = ApiKey(
        id=key_id,
        name=name,
        digest=digest,
        permissions=list(permissions),
        accounts=list(accounts),
        per_second=per_second,
        created_at=timezone.now(),
        created_by=actor,
        expires_at=expires_at,
    )
    _check_who_and_why(actor, reason)
    row.full_clean()
    _check_use(row)
    return _finish(row, None, actor=actor, reason=reason, action="api_key.create", text=text)


@transaction.atomic
def do_rotate_key(*, actor: str, reason: str, key_id: str) -> KeyChange:
    """Give a key a new secret and return it; the old one is not good any more. Raises NoSuchKey."""
    row = _unrevoked(key_id)
    before = _evidence(row)
    text, _, row.digest = _new_key(row.id)
    row.rotated_at = timezone.now()
    _check_who_and_why(actor, reason)
    return _finish(row, before, actor=actor, reason=reason, action="api_key.rotate", text=text)


@transaction.atomic
def do_revoke_key(*, actor: str, reason: str, key_id: str) -> KeyChange:
    """Take a key out of use for good. Raises NoSuchKey."""
    row = _unrevoked(key_id)
    before = _evidence(row)
    row.revoked_at = timezone.now()
    _check_who_and_why(actor, reason)
    return _finish(row, before, actor=actor, reason=reason, action="api_key.revoke")


# ------------------------------------------------------------------------------------------ publishing
def published_records() -> bytes:
    """Return the keys that are good, as the live state keeps them for the doors."""
    now = timezone.now()
    good = ApiKey.objects.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now), revoked_at__isnull=True)
    return encode_records(tuple(map(_record, good)))


def publish_keys(to: Store) -> bool:
    """Write the good keys to the live state, if they are not what it has; return whether they were not.

    Raises StateUnavailable and Django's database errors.
    """
    with transaction.atomic():
        KeyLock.objects.get_or_create(pk=1)
        KeyLock.objects.select_for_update().get(pk=1)
        content = published_records()
        if to.fetch_keys() == content:
            return False
        to.put_keys(content)
    return True


def _go_live(made: KeyChange) -> None:
    try:
        publish_keys(store())
        made.live = True
    except StateUnavailable as error:
        made.live = False
        logger.warning("API key %s is not published yet, the live state is away: %s", made.row.name, error)


def _record(row: ApiKey) -> KeyRecord:
    default: int = settings.RISK_KEY_RATE
    return KeyRecord(
        id=row.id,
        name=row.name,
        digest=row.digest,
        permissions=frozenset(row.permissions),
        accounts=frozenset(row.accounts),
        expires_at_us=0 if row.expires_at is None else microseconds(row.expires_at),
        per_second=default if row.per_second is None else row.per_second,
    )


# -------------------------------------------------------------------------------------------- the steps
def _new_key(key_id: str) -> tuple[str, str, str]:
    """Return a new key of this id, the id, and the digest of its secret."""
    secret = secrets.token_hex(_SECRET_BYTES)
    return f"rp_{key_id}_{secret}", key_id, hashlib.sha256(secret.encode()).hexdigest()


def _check_who_and_why(actor: str, reason: str) -> None:
    if not actor.strip() or not reason.strip():
        raise ValidationError({"reason": "Say who makes this change, and why."})


def _check_use(row: ApiKey) -> None:
    """Refuse a key that could never be used: one that has expired, or is for an account that nobody has made."""
    if row.expires_at is not None and row.expires_at <= timezone.now():
        raise ValidationError({"expires_at": "This moment has passed: the key would never be good."})
    unknown = sorted(set(row.accounts) - set(Account.objects.filter(pk__in=row.accounts).values_list("pk", flat=True)))
    if unknown:
        raise ValidationError({"accounts": f"There is no account {', '.join(unknown)}."})


def _unrevoked(key_id: str) -> ApiKey:
    row = ApiKey.objects.select_for_update().filter(pk=key_id, revoked_at__isnull=True).first()
    if row is None:
        raise NoSuchKey(f"There is no API key {key_id}, or it was revoked before.")
    return row


def _evidence(row: ApiKey) -> dict[str, object]:
    """Return what the audit log keeps of a key: not its digest, which is nobody's business."""
    return {name: value for name, value in snapshot(row).items() if name != "digest"}


def _finish(
    row: ApiKey, before: dict[str, object] | None, *, actor: str, reason: str, action: str, text: str = ""
) -> KeyChange:
    row.save(by_service=True)
    record(
        actor=actor,
        action=action,
        object_type="api_key",
        object_id=row.pk,
        object_label=row.name,
        reason=reason,
        before=before,
        after=_evidence(row),
    )
    made = KeyChange(row, text)
    transaction.on_commit(lambda: _go_live(made))
    return made
