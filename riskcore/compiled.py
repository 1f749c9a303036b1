"""A book made ready for checks: everything looked up by key, the limits of each kind of order kept together."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import UnsetType

from riskcore.book import Account, Book, Instrument, Operator, Override, Policy, Profile, Restriction, Returns, Scope
from riskcore.calendar import DAY_US, microseconds
from riskcore.decimals import ZERO
from riskcore.in_scope import InScope, in_scope
from riskcore.limits import Bound, Limit, limit_on, make_limit, profile_limits
from riskcore.phases import is_in_force, is_timed, next_phase_us
from riskcore.scaling import check_scale, scaled
from riskcore.tail import MEASURES
from riskcore.types import Order

if TYPE_CHECKING:
    from riskcore.scenarios import PreparedReturns

# Combinations of account, exchange, strategy and symbol kept ready; beyond it they are worked out again.
_COMBINATIONS = 65_536

# Sets of policies in force kept ready: a book with windows goes through the same ones each day.
_PHASES = 64


class CompiledBook:
    """One version of the book, compiled once in a process. Read-only to its users.

    Raises ValueError where a policy cannot be evaluated, exposure would need no margin, or the history of prices is
    none: such a book must not be published.
    """

    def __init__(self, book: Book) -> None:
        self.book = book
        self.version = book.version
        self.parameters = book.parameters
        if not book.parameters.default_margin_rate > ZERO:
            raise ValueError(f"default_margin_rate must be above 0, not {book.parameters.default_margin_rate}")
        self.accounts: dict[str, Account] = {account.id: account for account in book.accounts}
        self.profiles: dict[str, Profile] = {profile.name: profile for profile in book.profiles}
        self.instruments: dict[str, Instrument] = {item.symbol: item for item in book.instruments}
        # The history of prices that value at risk and expected shortfall go by.
        self.returns = _prepared(book.returns)
        self._returns_over_us = _over_us(book.returns, book.parameters.returns_max_age_us)
        self.restrictions: dict[str, list[Restriction]] = {}
        for restriction in book.restrictions:
            self.restrictions.setdefault(restriction.symbol, []).append(restriction)
        # By account, those first that run out first.
        self.overrides: dict[str, list[Override]] = {}
        for override in sorted(book.overrides, key=lambda each: (each.until_us, each.id)):
            self.overrides.setdefault(override.account_id, []).append(override)
        self._of_profile = {profile.name: profile_limits(profile) for profile in book.profiles}
        for policy in book.policies:
            check_scale(policy)
        # Whether any threshold follows the volatility that the history of prices gives.
        self._follows_volatility = any(policy.volatility is not None for policy in book.policies)
        self._timed = tuple(policy for policy in book.policies if is_timed(policy))
        self._phases: dict[tuple[bool, tuple[str, ...]], CompiledBook] = {}
        self._phase: tuple[int, int, CompiledBook] | None = None
        self._go_by(book.policies)

    def at(self, now_us: int) -> CompiledBook:
        """Return the book as it is at a moment: with the limits that are in force then."""
        if not self._timed and not self._follows_volatility:
            return self
        phase = self._phase
        if phase is None or not phase[0] <= now_us < phase[1]:
            phase = self._phase = (now_us, self._phase_end_us(now_us), self._with_those_at(now_us))
        return phase[2]

    def _phase_end_us(self, now_us: int) -> int:
        end_us = next_phase_us(self._timed, now_us)
        return min(end_us, self._returns_over_us + 1) if now_us <= self._returns_over_us else end_us

    def _with_those_at(self, now_us: int) -> CompiledBook:
        policies = [policy for policy in self.book.policies if is_in_force(policy, now_us)]
        old = self.has_old_returns(now_us)
        key = old, tuple(policy.id for policy in policies)
        found = self._phases.get(key)
        if found is None:
            if len(self._phases) >= _PHASES:
                self._phases.clear()
            found = self._phases[key] = copy(self)
            found._timed, found._follows_volatility = (), False
            found._go_by([scaled(policy, None if old else self._volatility_for(policy)) for policy in policies])
        return found

    def _volatility_for(self, policy: Policy) -> float | None:
        """Return the volatility that a policy's threshold follows, None where it is not known."""
        if policy.volatility is None or self.returns is None:
            return None
        return self.returns.volatility_of(policy.volatility.symbol)

    def _go_by(self, policies: Sequence[Policy]) -> None:
        """Take the limits of some policies, which are in their order."""
        self.limits = tuple(make_limit(policy) for policy in policies)
        # Whether any policy forbids one value in the middle of those it allows.
        self.forbids_one_value = any(policy.operator is Operator.NOT_EQUAL for policy in policies)
        # Whether any policy is on what an account has on one exchange.
        self.limits_exchanges = any(policy.scope is Scope.EXCHANGE for policy in policies)
        # Whether any policy is on value at risk or expected shortfall.
        self.limits_tail = any(policy.metric in MEASURES for policy in policies)
        self._everywhere = tuple(limit for limit in self.limits if limit.policy.scope is Scope.GLOBAL)
        self._by_scope: dict[tuple[Scope, str], list[Limit]] = {}
        for limit in self.limits:
            self._index(limit)
        # An order whose exchange nobody knows may be for any: every exchange's limits hold for it.
        self._by_scope[Scope.EXCHANGE, ""] = [limit for limit in self.limits if limit.policy.scope is Scope.EXCHANGE]
        self._combinations: dict[tuple[str, str, str, str], InScope] = {}
        self._scopes: dict[tuple[tuple[int, bool], ...], InScope] = {}

    def has_old_returns(self, now_us: int) -> bool:
        """Return whether the history of prices ended too long ago to say anything."""
        return now_us > self._returns_over_us

    def _index(self, limit: Limit) -> None:
        policy = limit.policy
        for scope_id in policy.scope_ids if policy.scope is not Scope.GLOBAL else ():
            self._by_scope.setdefault((policy.scope, scope_id), []).append(limit)

    def limits_of_profile(self, name: str) -> tuple[Limit, ...]:
        """Return the bounds of a capital profile as limits; none where there is no such profile."""
        return self._of_profile.get(name, ())

    def limits_for(self, order: Order, account: Account, exchange: str) -> InScope:
        """Return every limit in scope of the order, those reported first in front.

        `exchange` is where it goes, "" where nobody knows.
        """
        key = (account.id, exchange, order.strategy_id, order.symbol)
        found = self._combinations.get(key)
        if found is None:
            if len(self._combinations) >= _COMBINATIONS:
                self._combinations.clear()
                self._scopes.clear()
            found = self._combinations[key] = self._collect(account, exchange, order.strategy_id, order.symbol)
        return found

    def _collect(self, account: Account, exchange: str, strategy_id: str, symbol: str) -> InScope:
        scopes = (
            (Scope.ACCOUNT, account.id),
            (Scope.PROFILE, account.profile),
            (Scope.EXCHANGE, exchange),
            (Scope.STRATEGY, strategy_id),
            (Scope.SYMBOL, symbol),
        )
        limits = list(self._everywhere)
        for scope in scopes:
            limits += self._by_scope.get(scope, ())
        limits = [limit_on(limit, account.id) for limit in limits]
        limits += self._of_profile.get(account.profile, ())
        # Of several limits on one metric the tightest wins: the first of equals in priority is the tightest.
        limits.sort(key=lambda limit: (limit.gate, limit.policy.priority, limit.metric.name, _looseness(limit)))
        return self._put_together(limits)

    def _put_together(self, limits: Sequence[Limit]) -> InScope:
        """Return limits put together: the same for all orders that the same policies are on in the same way."""
        # The book holds its policies, so their identity is theirs alone.
        key = tuple([(id(limit.policy), limit.shadow) for limit in limits])
        found = self._scopes.get(key)
        if found is None:
            found = self._scopes[key] = in_scope(limits)
        return found


def _prepared(returns: Returns | UnsetType) -> PreparedReturns | None:
    if isinstance(returns, UnsetType):
        return None
    from riskcore.scenarios import prepare_published  # loads numpy: only where there is something for it to do

    return prepare_published(returns)


def _over_us(returns: Returns | UnsetType, max_age_us: int) -> int:
    """Return when the day of the last return has been over for so long."""
    if isinstance(returns, UnsetType):
        return 0
    return microseconds(datetime.fromisoformat(returns.until).replace(tzinfo=UTC)) + DAY_US + max_age_us


def _looseness(limit: Limit) -> object:
    return -limit.policy.threshold if limit.bound is Bound.FLOOR else limit.policy.threshold
