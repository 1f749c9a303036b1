"""What the configuration publishes by itself: on the first start, on the command line, for measuring.

No door calls this: people change limits by request (policies.requests.services). One call is one row changed, one audit
event and one new book.

All take keywords only. `actor` is the name of whoever asks, `reason` says why; `expected_version` is the
version of the row that they saw, and a stale one is refused. They return a `Change`, and raise

- `ValidationError` (Django's), by field, where a value is not acceptable;
- `NotFound`, `StaleEdit`, `NothingToChange` (policies.errors), with texts for people.

The book is live as soon as the outermost transaction commits, or when the live state is back.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import TypedDict, Unpack
from uuid import UUID

from policies import changes
from policies.changes import Change
from policies.models import Account, CapitalProfile, Instrument, Policy, RestrictedSymbol

__all__ = [
    "AccountFields",
    "Change",
    "InstrumentFields",
    "PolicyFields",
    "ProfileFields",
    "do_change_account",
    "do_change_instrument",
    "do_change_policy",
    "do_change_profile",
    "do_create_account",
    "do_create_instrument",
    "do_create_policy",
    "do_create_profile",
    "do_lift_symbol",
    "do_restrict_symbol",
]


class PolicyFields(TypedDict, total=False):
    """What can be set of a policy (SPEC 5); names of metrics, types and scopes as they are on the wire."""

    name: str
    description: str
    type: str
    metric: str
    operator: str
    threshold: Decimal
    scope: str
    scope_ids: Iterable[str]
    enabled: bool
    priority: int
    on_breach: str
    window_s: int
    owner: str
    regulatory_tags: Iterable[str]
    mode: str
    active_windows: list[str]
    effective_from: datetime | None
    effective_until: datetime | None
    rollout_percent: int
    test_group: str
    volatility_symbol: str
    volatility_reference: Decimal
    volatility_least: Decimal
    volatility_most: Decimal


class ProfileFields(TypedDict, total=False):
    """What can be set of a capital profile. Risk and losses are fractions, leverage a multiple of equity."""

    allowed_leverage: Decimal
    max_single_trade_risk: Decimal
    max_daily_loss: Decimal
    max_weekly_loss: Decimal
    max_open_positions: int
    strategies: Iterable[str]


class AccountFields(TypedDict, total=False):
    """What can be set of an account; `profile` by its name."""

    name: str
    profile: str
    exchange: str
    enabled: bool
    reservation_ttl_s: int | None


class InstrumentFields(TypedDict, total=False):
    """What can be set of an instrument; 0 means that a rule is not known."""

    tick_size: Decimal
    lot_size: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    average_daily_volume: Decimal
    margin_rate: Decimal
    order_types: Iterable[str]


def do_create_policy(*, actor: str, reason: str, **fields: Unpack[PolicyFields]) -> Change[Policy]:
    """Add a limit. Needs at least a name, a metric and a threshold."""
    policy = Policy()
    changes.assign(policy, fields)
    return changes.create(policy, actor=actor, reason=reason, action="policy.create")


def do_change_policy(
    *, actor: str, reason: str, policy_id: UUID | str, expected_version: int, **fields: Unpack[PolicyFields]
) -> Change[Policy]:
    """Change a limit; `enabled=False` takes it out of force."""
    return changes.change(
        Policy,
        policy_id,
        actor=actor,
        reason=reason,
        action="policy.change",
        expected_version=expected_version,
        fields=fields,
    )


def do_create_profile(*, actor: str, reason: str, name: str, **fields: Unpack[ProfileFields]) -> Change[CapitalProfile]:
    """Add a capital profile. Its name stays, since policies and accounts go by it."""
    profile = CapitalProfile(name=name)
    changes.assign(profile, fields)
    return changes.create(profile, actor=actor, reason=reason, action="profile.create")


def do_change_profile(
    *, actor: str, reason: str, name: str, expected_version: int, **fields: Unpack[ProfileFields]
) -> Change[CapitalProfile]:
    """Change the bounds of every account that has this profile."""
    return changes.change(
        CapitalProfile,
        name,
        actor=actor,
        reason=reason,
        action="profile.change",
        expected_version=expected_version,
        fields=fields,
    )


def do_create_account(*, actor: str, reason: str, account_id: str, **fields: Unpack[AccountFields]) -> Change[Account]:
    """Let an account send orders. Needs a profile."""
    account = Account(id=account_id)
    changes.assign(account, fields)
    return changes.create(account, actor=actor, reason=reason, action="account.create")


def do_change_account(
    *, actor: str, reason: str, account_id: str, expected_version: int, **fields: Unpack[AccountFields]
) -> Change[Account]:
    """Change an account; `enabled=False` blocks its orders."""
    return changes.change(
        Account,
        account_id,
        actor=actor,
        reason=reason,
        action="account.change",
        expected_version=expected_version,
        fields=fields,
    )


def do_create_instrument(
    *, actor: str, reason: str, symbol: str, **fields: Unpack[InstrumentFields]
) -> Change[Instrument]:
    """Add the trading rules of a symbol."""
    instrument = Instrument(symbol=symbol)
    changes.assign(instrument, fields)
    return changes.create(instrument, actor=actor, reason=reason, action="instrument.create")


def do_change_instrument(
    *, actor: str, reason: str, symbol: str, expected_version: int, **fields: Unpack[InstrumentFields]
) -> Change[Instrument]:
    """Change the trading rules of a symbol."""
    return changes.change(
        Instrument,
        symbol.strip().upper(),
        actor=actor,
        reason=reason,
        action="instrument.change",
        expected_version=expected_version,
        fields=fields,
    )


def do_restrict_symbol(
    *,
    actor: str,
    reason: str,
    symbol: str,
    side: str = "",
    account_id: str = "",
    close_only: bool = False,
    until: datetime | None = None,
) -> Change[RestrictedSymbol]:
    """Block orders in a symbol, until `until` (timezone-aware) or until it is lifted.

    An empty side means both, an empty account every account; `close_only` lets orders through that strictly
    reduce a position. Of several restrictions that cover an order each one blocks it.
    """
    restriction = RestrictedSymbol(
        symbol=symbol,
        side=side.upper(),
        account_id=account_id or None,
        close_only=close_only,
        until=until,
        reason=reason,
    )
    return changes.create(restriction, actor=actor, reason=reason, action="symbol.restrict")


def do_lift_symbol(
    *, actor: str, reason: str, restriction_id: UUID | str, expected_version: int
) -> Change[RestrictedSymbol]:
    """Lift one restriction of a symbol; the row stays. To restrict it again makes another."""
    return changes.change(
        RestrictedSymbol,
        restriction_id,
        actor=actor,
        reason=reason,
        action="symbol.lift",
        expected_version=expected_version,
        fields={"active": False},
    )
