"""Which orders the difference between two books may concern: all others are decided alike by both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from riskcore.book import Book, Operator, Policy, Profile, Scope
from riskcore.compiled import CompiledBook
from riskcore.tail import MEASURES
from riskcore.types import Order

# The parts of a book of which it is told whom a difference concerns. One in any other part concerns every order.
_TOLD = frozenset({"version", "policies", "profiles", "accounts", "restrictions", "instruments", "returns"})


class Reach:
    """What two books say differently, and whom that may concern.

    An order is concerned unless nothing that a check of it looks up is different: its account and that account's
    profile, its symbol's rules and restrictions, the policies that may be in its scope, and what every check goes by.

    Parameters
    ----------
    before, after
        The books. `policies` has the ids of the policies that differ, `profiles` the names of such profiles.
    """

    def __init__(self, before: CompiledBook, after: CompiledBook) -> None:
        old, new = before.book, after.book
        self.policies = _changed(_by_id(old.policies), _by_id(new.policies))
        self.profiles = _changed(_by_name(old.profiles), _by_name(new.profiles))
        self.accounts = _changed(before.accounts, after.accounts)
        self.of_all = _differ_for_all(before, after) or self._reordered(old, new)
        self._symbols = _changed(before.instruments, after.instruments)
        self._symbols |= _changed(before.restrictions, after.restrictions)
        self._strategies: set[str] = set()
        self._accounts = set(self.accounts)
        profiles = set(self.profiles)
        for policy in (*old.policies, *new.policies):
            if policy.id in self.policies:
                self._add(policy, profiles)
        self._accounts |= {one.id for one in (*old.accounts, *new.accounts) if one.profile in profiles}

    def _reordered(self, old: Book, new: Book) -> bool:
        """Return whether policies that both books have are in another order, by which equals are reported."""
        first, second = ([one.id for one in book.policies if one.id not in self.policies] for book in (old, new))
        return first != second

    def _add(self, policy: Policy, profiles: set[str]) -> None:
        if policy.metric in MEASURES or policy.operator is Operator.NOT_EQUAL:
            # With one such limit anywhere, checks of every account go another way about.
            self.of_all = True
        match policy.scope:
            case Scope.ACCOUNT:
                self._accounts.update(policy.scope_ids)
            case Scope.PROFILE:
                profiles.update(policy.scope_ids)
            case Scope.SYMBOL:
                self._symbols.update(policy.scope_ids)
            case Scope.STRATEGY:
                self._strategies.update(policy.scope_ids)
            case _:  # of every account, or of an exchange, and which one an order goes to only its case says
                self.of_all = True

    def concerns(self, order: Order) -> bool:
        """Return whether the two books may decide the order differently."""
        return (
            self.of_all
            or order.account_id in self._accounts
            or order.symbol in self._symbols
            or order.strategy_id in self._strategies
        )


def _differ_for_all(before: CompiledBook, after: CompiledBook) -> bool:
    """Return whether something differs that every check goes by, or of which nobody here knows who does."""
    old, new = before.book, after.book
    if (_uses_returns(old) or _uses_returns(new)) and old.returns != new.returns:
        return True
    return any(getattr(old, name) != getattr(new, name) for name in new.__struct_fields__ if name not in _TOLD)


def _uses_returns(book: Book) -> bool:
    return any(policy.metric in MEASURES or policy.volatility is not None for policy in book.policies)


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    return {key for key in {*old, *new} if old.get(key) != new.get(key)}


def _by_id(policies: Iterable[Policy]) -> dict[str, Policy]:
    return {policy.id: policy for policy in policies}


def _by_name(profiles: Iterable[Profile]) -> dict[str, Profile]:
    return {profile.name: profile for profile in profiles}
