"""Everything that can be done with API keys. Each change is one row, one audit event, and published after commit."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from api.grants import granted, published
from api.keyring import KeyRecord, encode_records
from api.models import ApiKey, KeyLock
from audit.acting import Acting, NotAllowed
from audit.rights import people
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


class NotTheirKey(NotAllowed):
    """Somebody wanted the secret of a key that acts in another's name."""

    def __init__(self, name: str, holder: str) -> None:
        self.permission = ""
        Exception.__init__(self, f"{name} may not have the secret of a key that acts in {holder}'s name.")


@transaction.atomic
def do_create_key(
    *,
    acting: Acting,
    reason: str,
    name: str,
    permissions: Iterable[str],
    accounts: Iterable[str] = (),
    holder: User | None = None,
    per_second: int | None = None,
    expires_at: datetime | None = None,
) -> KeyChange:
    """Make a key and return it, for the only time. Raises NotAllowed, and ValidationError by field.

    `permissions` are words of api.grants. A key with a holder may never do more than that person may, whatever becomes
    of their rights, and acts in their name: nobody but they is given its secret. One without is a machine's.
    """
    text, key_id, digest = _new_key(secrets.token_hex(_ID_BYTES))
    row = ApiKey(
        id=key_id,
        name=name,
        digest=digest,
        permissions=list(permissions),
        accounts=list(accounts),
        holder=holder,
        per_second=per_second,
        created_at=timezone.now(),
        created_by=acting.name,
        expires_at=expires_at,
    )
    _demand_secret(acting, row)
    _check_why(reason)
    row.full_clean()
    _check_use(row)
    return _finish(row, None, acting=acting, reason=reason, action="api_key.create", text=text)


@transaction.atomic
def do_rotate_key(*, acting: Acting, reason: str, key_id: str) -> KeyChange:
    """Give a key a new secret and return it; the old one is not good any more. Raises NotAllowed, NoSuchKey."""
    row = _unrevoked(key_id)
    _demand_secret(acting, row)
    before = _evidence(row)
    text, _, row.digest = _new_key(row.id)
    row.rotated_at = timezone.now()
    _check_why(reason)
    return _finish(row, before, acting=acting, reason=reason, action="api_key.rotate", text=text)


@transaction.atomic
def do_revoke_key(*, acting: Acting, reason: str, key_id: str) -> KeyChange:
    """Take a key out of use for good. Raises NotAllowed, NoSuchKey."""
    row = _unrevoked(key_id)
    if not is_own(acting, row):
        _demand_manager(acting, row)
    before = _evidence(row)
    row.revoked_at = timezone.now()
    _check_why(reason)
    return _finish(row, before, acting=acting, reason=reason, action="api_key.revoke")


# ------------------------------------------------------------------------------------------ publishing
def published_records() -> bytes:
    """Return the keys that are good, as the live state keeps them for the doors."""
    now = timezone.now()
    good = ApiKey.objects.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now), revoked_at__isnull=True)
    rows = list(good.select_related("holder"))
    holders = people({row.holder for row in rows if row.holder is not None})
    usable = [row for row in rows if row.holder is None or row.holder.is_active]
    records = (_record(row, None if row.holder is None else holders[row.holder.pk]) for row in usable)
    return encode_records(tuple(record for record in records if record is not None))


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


def _record(row: ApiKey, holder: Acting | None) -> KeyRecord | None:
    """Return a key as doors know it; None where its holder is for none of its accounts."""
    default: int = settings.RISK_KEY_RATE
    accounts = frozenset(row.accounts)
    if holder is not None and holder.accounts:
        accounts = accounts & holder.accounts if accounts else holder.accounts
        if not accounts:  # an empty set would stand for all
            return None
    return KeyRecord(
        id=row.id,
        name=row.name,
        digest=row.digest,
        permissions=published(row.permissions, holder),
        accounts=accounts,
        holder="" if holder is None else holder.person,
        expires_at_us=0 if row.expires_at is None else microseconds(row.expires_at),
        per_second=default if row.per_second is None else row.per_second,
    )


# -------------------------------------------------------------------------------------------- the steps
def _new_key(key_id: str) -> tuple[str, str, str]:
    """Return a new key of this id, the id, and the digest of its secret."""
    secret = secrets.token_hex(_SECRET_BYTES)
    return f"rp_{key_id}_{secret}", key_id, hashlib.sha256(secret.encode()).hexdigest()


def _check_why(reason: str) -> None:
    if not reason.strip():
        raise ValidationError({"reason": "Say why this change is made."})


def is_own(acting: Acting, row: ApiKey) -> bool:
    """Return whether a key is that of the person who acts."""
    return row.holder is not None and row.holder.get_username() == acting.person


def _demand_secret(acting: Acting, row: ApiKey) -> None:
    """Raise NotAllowed where somebody would come to a secret that is not for them.

    Of a key with a holder only they and the machine's command line may: with it one acts in their name.
    """
    if row.holder is None:
        _demand_manager(acting, row)
    elif not is_own(acting, row) and (acting.person or acting.permissions is not None):
        raise NotTheirKey(acting.name, row.holder.get_username())


def _demand_manager(acting: Acting, row: ApiKey) -> None:
    """Raise NotAllowed where somebody may not manage keys, or is not for the accounts that this one is for."""
    acting.demand(MANAGE)
    for account_id in row.accounts or ("",):
        acting.demand_account(account_id, "a key that is for others")


def _check_use(row: ApiKey) -> None:
    """Refuse a key that could never be used: one that has expired, or is for an account that nobody has made."""
    if row.expires_at is not None and row.expires_at <= timezone.now():
        raise ValidationError({"expires_at": "This moment has passed: the key would never be good."})
    unknown = sorted(set(row.accounts) - set(Account.objects.filter(pk__in=row.accounts).values_list("pk", flat=True)))
    if unknown:
        raise ValidationError({"accounts": f"There is no account {', '.join(unknown)}."})
    if row.holder is not None:
        _check_holder(row, row.holder)


def _check_holder(row: ApiKey, user: User) -> None:
    """Refuse a key whose holder may do nothing with it."""
    holder = people([user])[user.pk]
    useless = [word for word in row.permissions if not granted([word], holder)]
    if useless:
        raise ValidationError({"permissions": f"{user} may do nothing of what {', '.join(useless)} stands for."})
    if row.accounts and not any(map(holder.may_see, row.accounts)):
        raise ValidationError({"accounts": f"{user} is for none of these accounts."})


def _unrevoked(key_id: str) -> ApiKey:
    row = ApiKey.objects.select_for_update().filter(pk=key_id, revoked_at__isnull=True).first()
    if row is None:
        raise NoSuchKey(f"There is no API key {key_id}, or it was revoked before.")
    return row


def _evidence(row: ApiKey) -> dict[str, object]:
    """Return what the audit log keeps of a key: not its digest, which is nobody's business."""
    kept = {name: value for name, value in snapshot(row).items() if name not in ("digest", "holder_id")}
    return {**kept, "holder": row.holder.get_username() if row.holder is not None else ""}


def _finish(
    row: ApiKey, before: dict[str, object] | None, *, acting: Acting, reason: str, action: str, text: str = ""
) -> KeyChange:
    row.save(by_service=True)
    record(
        actor=acting.name,
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
