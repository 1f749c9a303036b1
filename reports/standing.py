"""The limits that a book held at a moment, as it held them, and on whom."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from audit.acting import acting
from policies.book import loaded
from policies.books.finding import book_at, visible
from policies.models import Book
from policies.wording import sentence
from riskcore import book as core
from riskcore.book import Scope
from riskcore.calendar import microseconds
from riskcore.compiled import CompiledBook
from riskcore.limits import Limit, limit_on, make_limit, profile_limits
from riskcore.metrics import METRICS

# The column of a capital profile that holds each of its bounds, by metric.
BOUNDS = {
    "leverage": "allowed_leverage",
    "single_trade_risk": "max_single_trade_risk",
    "daily_loss": "max_daily_loss",
    "weekly_loss": "max_weekly_loss",
    "open_positions": "max_open_positions",
}


class Held(Struct, frozen=True, kw_only=True):
    """A limit of a book at a moment.

    Attributes
    ----------
    policy
        As the book has it; a capital profile's bound as a policy of its own.
    profile
        The profile whose bound it is, empty for a limit by itself.
    threshold
        What counted at that moment: as it is written, or as volatility had moved it.
    in_force
        Whether that moment was in its hours and between its dates.
    shadow
        Whether it was only recorded: on everybody, or on the account that was asked about.
    """

    policy: core.Policy
    profile: str
    threshold: Decimal
    in_force: bool
    shadow: bool

    @property
    def in_words(self) -> str:
        """Return it as a sentence."""
        return sentence(self.policy)


class Standing(Struct, frozen=True, kw_only=True):
    """A book at a moment, as somebody may see it. `row` is without its content."""

    row: Book
    book: core.Book
    compiled: CompiledBook
    at: datetime

    def account(self, account_id: str) -> core.Account | None:
        """Return an account as the book has it."""
        return next((each for each in self.book.accounts if each.id == account_id), None)

    def limits(self, account_id: str = "", symbol: str = "") -> Iterator[Held]:
        """Yield every limit, those reported first in front; only those on this account and on orders in this symbol.

        A limit on an exchange or a strategy is on every account: any order may name them.
        """
        account = self.account(account_id)
        if account_id and account is None:
            return
        in_force = {limit.policy.id: limit for limit in self.compiled.limits}
        for policy in sorted(self.book.policies, key=lambda each: (each.priority, each.name)):
            if _is_on(policy, account, symbol):
                yield _held(policy, in_force.get(policy.id), account_id)
        for profile in self.book.profiles:
            if account is None or profile.name == account.profile:
                yield from _bounds(profile)


def standing_at(at: datetime, accounts: frozenset[str]) -> Standing | None:
    """Return the book of a moment, as whoever is for these accounts (none: all) may see it; None before the first.

    Raises ValueError where its content is not what was published.
    """
    row = book_at(at)
    if row is None:
        return None
    book = loaded(row.version)
    compiled = CompiledBook(book).at(microseconds(at))
    return Standing(row=row, book=visible(book, acting("report", (), accounts)), compiled=compiled, at=at)


def _held(policy: core.Policy, counted: Limit | None, account_id: str) -> Held:
    """Return a limit; `counted` is what was evaluated of it at that moment, None where it was not in force."""
    limit = make_limit(policy)
    return Held(
        policy=policy,
        profile="",
        threshold=policy.threshold if counted is None else counted.threshold,
        in_force=counted is not None,
        shadow=(limit_on(limit, account_id) if account_id else limit).shadow,
    )


def _bounds(profile: core.Profile) -> Iterator[Held]:
    for limit in profile_limits(profile):
        policy = replace(limit.policy, scope=Scope.PROFILE, scope_ids=(profile.name,))
        yield Held(policy=policy, profile=profile.name, threshold=limit.threshold, in_force=True, shadow=False)


def _is_on(policy: core.Policy, account: core.Account | None, symbol: str) -> bool:
    if account is not None and policy.scope is Scope.ACCOUNT and account.id not in policy.scope_ids:
        return False
    if account is not None and policy.scope is Scope.PROFILE and account.profile not in policy.scope_ids:
        return False
    return not symbol or policy.scope is not Scope.SYMBOL or symbol in policy.scope_ids


def unit_of(metric: str) -> str:
    """Return the unit of a metric, empty where it is not known any more."""
    return METRICS[metric].unit.value if metric in METRICS else ""
