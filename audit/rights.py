"""What a person may do: the permissions of their groups and their own, and the accounts that they are for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from typing import Any, cast

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Permission, User
from django.db.models import Q

from audit.acting import Acting
from audit.models import AccountGrant

# Which of some accounts there are: asked of the package that keeps them, which is above this one.
_find_accounts: list[Callable[[Collection[str]], set[str]]] = []


def ask_for_accounts(find: Callable[[Collection[str]], set[str]]) -> None:
    """Have `find` say, from now on, which of some accounts there are."""
    _find_accounts[:] = [find]


def known_accounts(account_ids: Collection[str]) -> set[str]:
    """Return those of these accounts that there are."""
    return set().union(*(find(account_ids) for find in _find_accounts))


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


def people(users: Collection[User]) -> dict[int, Acting]:
    """Return people by their keys, with what they may as the database has it now, in three queries for all of them."""
    may: defaultdict[int, set[str]] = defaultdict(set)
    sees: defaultdict[int, set[str]] = defaultdict(set)
    if users:
        for who in ("group__user", "user"):
            rows = Permission.objects.order_by().filter(**{f"{who}__in": users})
            for user_id, app, name in rows.values_list(who, "content_type__app_label", "codename"):
                may[user_id].add(f"{app}.{name}")
        for user_id, account_id in AccountGrant.objects.filter(user__in=users).values_list("user", "account_id"):
            sees[user_id].add(account_id)
    return {user.pk: _acting(user, frozenset(may[user.pk]), frozenset(sees[user.pk])) for user in users}


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
    accounts = AccountGrant.objects.filter(user=user).values_list("account_id", flat=True)
    permissions = frozenset() if user.is_superuser else frozenset(user.get_all_permissions())
    return _acting(user, permissions, frozenset(accounts))


def _acting(user: User, permissions: frozenset[str], accounts: frozenset[str]) -> Acting:
    name = user.get_username()
    if not user.is_active:
        return Acting(name, frozenset(), accounts, name)
    return Acting(name, None if user.is_superuser else permissions, accounts, name)
