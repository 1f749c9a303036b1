"""What a person may do: the permissions of their groups and their own, and the accounts that they are for."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Permission, User
from django.db.models import Q

from audit.acting import Acting
from audit.models import AccountGrant


class Rights(ModelBackend):
    """Signs people in as Django does, and reads all that they may in one query, once for each request."""

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        if not user_obj.is_active or user_obj.is_anonymous or obj is not None:
            return set()
        if not hasattr(user_obj, "_perm_cache"):
            user_obj._perm_cache = set(permissions_of(user_obj))
        return cast("set[str]", user_obj._perm_cache)


def permissions_of(user: User) -> frozenset[str]:
    """Return the permissions of a user by Django's names, as the database has them now: none of one who is inactive."""
    if not user.is_active:
        return frozenset()
    wanted = Permission.objects.order_by()
    if not user.is_superuser:
        wanted = wanted.filter(Q(group__user=user) | Q(user=user)).distinct()
    return frozenset(f"{app}.{name}" for app, name in wanted.values_list("content_type__app_label", "codename"))


def accounts_of(user: User) -> frozenset[str]:
    """Return the accounts that a user is for, as the database has them now. Empty: all."""
    return frozenset(AccountGrant.objects.filter(user=user).values_list("account_id", flat=True))


def acting_of(user: AbstractBaseUser | AnonymousUser) -> Acting:
    """Return somebody who is signed in, with what they may. Nobody, who may nothing, where nobody is.

    Read once for each request, whose `user` it is remembered with.
    """
    if not isinstance(user, User):
        return Acting("nobody")
    known: Acting | None = getattr(user, "_acting", None)
    if known is None:
        known = _acting_of(user)
        user._acting = known  # type: ignore[attr-defined]
    return known


def _acting_of(user: User) -> Acting:
    name = user.get_username()
    permissions = None if user.is_superuser and user.is_active else frozenset(user.get_all_permissions())
    return Acting(name, permissions, accounts_of(user), name)
