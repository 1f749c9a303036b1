"""What the audit log keeps of people and groups: who they are and what they may do, never a password or its hash.

The `do_` functions make a change and write its event in one transaction; the admin's forms do both themselves.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias

from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet

from audit.models import AccountGrant, GivenPassword
from audit.services import record

Person: TypeAlias = User | Group

_OF_USER = ("id", "username", "first_name", "last_name", "email", "is_active", "is_staff", "is_superuser")


def evidence(row: Person) -> dict[str, object]:
    """Return a user with their rights, or a group with its rights and members, as the database has them now."""
    if isinstance(row, Group):
        members = row.user_set.order_by("username").values_list("username", flat=True)
        return {"id": row.pk, "name": row.name, "permissions": _names(row.permissions.all()), "members": list(members)}
    return {
        **{name: getattr(row, name) for name in _OF_USER},
        "groups": list(row.groups.order_by("name").values_list("name", flat=True)),
        "permissions": _names(row.user_permissions.all()),
        "accounts": accounts_of(row),
    }


def accounts_of(row: User) -> list[str]:
    """Return the accounts that a user is for, sorted; none: all."""
    return list(AccountGrant.objects.filter(user=row).order_by("account_id").values_list("account_id", flat=True))


def set_accounts(row: User, account_ids: Collection[str]) -> None:
    """Have a user be for these accounts and no others; none: for all. Call this in the transaction of its event."""
    AccountGrant.objects.filter(user=row).exclude(account_id__in=account_ids).delete()
    known = set(accounts_of(row))
    AccountGrant.objects.bulk_create(
        AccountGrant(user=row, account_id=each) for each in account_ids if each not in known
    )


def record_change(
    row: Person,
    verb: str,
    *,
    actor: str,
    reason: str,
    before: dict[str, object] | None,
    after: dict[str, object] | None,
) -> None:
    """Write the event of a change, whose `row` has, or had, its key. Call this last in the change's transaction."""
    kept = after or before or {}
    kind = "group" if isinstance(row, Group) else "user"
    record(
        actor=actor,
        action=f"{kind}.{verb}",
        object_type=kind,
        object_id=kept["id"],
        object_label=str(row),
        reason=reason,
        before=before,
        after=after,
    )


def record_password(row: User, *, actor: str, reason: str) -> None:
    """Write that a password was changed, or that signing in by password was switched off.

    Where somebody else changed it, its owner has to change it again when they next sign in.
    """
    note_given_password(row, actor=actor)
    now = evidence(row)
    what = "password changed" if row.has_usable_password() else "password switched off"
    record_change(row, "password", actor=actor, reason=reason, before=now, after={**now, "password": what})


def note_given_password(row: User, *, actor: str) -> None:
    """Note who else knows a password that has just been set: `actor`, or nobody where its owner set it."""
    if actor == row.get_username() or not row.has_usable_password():
        GivenPassword.objects.filter(user=row).delete()
    else:
        GivenPassword.objects.update_or_create(user=row, defaults={"actor": actor})


@transaction.atomic
def do_create_superuser(
    *, actor: str, reason: str, username: str, email: str = "", password: str | None = None
) -> User:
    """Make a user who may do everything, and return them.

    Without a password nobody can sign in as them until one is set. Raises ValidationError by field; whether the
    password is a good one is for whoever asks for it.
    """
    _check_reason(reason)
    row = User(
        username=User.normalize_username(username),
        email=User.objects.normalize_email(email),
        is_staff=True,
        is_superuser=True,
    )
    row.set_password(password)
    row.full_clean()
    row.save()
    record_change(row, "create", actor=actor, reason=reason, before=None, after=evidence(row))
    return row


@transaction.atomic
def do_change_password(*, actor: str, reason: str, username: str, password: str) -> User:
    """Give a user another password, and return them. Raises User.DoesNotExist, and ValidationError by field."""
    _check_reason(reason)
    row = User.objects.select_for_update().get(username=username)
    row.set_password(password)
    row.save(update_fields=["password"])
    record_password(row, actor=actor, reason=reason)
    return row


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise ValidationError({"reason": "Say why, for the audit log."})


def _names(permissions: QuerySet[Permission]) -> list[str]:
    pairs = permissions.values_list("content_type__app_label", "codename")
    return sorted(f"{app}.{name}" for app, name in pairs)
