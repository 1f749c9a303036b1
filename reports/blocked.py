"""The orders of an account that some limits stopped, or would have but for an override."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec
from django.db.models import Q
from msgspec import Struct

from audit.models import OrderDecision
from riskcore.types import Breach

# Decisions that are read together.
_TOGETHER = 500


class Blocked(Struct, frozen=True, kw_only=True):
    """An order that was held against a limit and broke it: `breach` is how.

    `price` 0: at the market. `what_if`: it was only asked about, and nothing was stopped. `override` is why it was let
    through all the same, empty where it was not.
    """

    decision_id: UUID
    at: datetime
    order_id: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    what_if: bool
    book_version: int
    breach: Breach
    override: str = ""


class _Override(Struct, frozen=True):
    reason: str


class _Answer(Struct, frozen=True):
    """What of a recorded answer is read here."""

    violations: tuple[Breach, ...]
    warnings: tuple[Breach, ...]
    override: _Override | None = None


_answers = msgspec.json.Decoder(_Answer)


def blocked_by(account_id: str, policies: Collection[str], since: datetime, until: datetime) -> Iterator[Blocked]:
    """Yield the orders that were not approved because of one of these policies (by their ids), the oldest first.

    An order that broke several of them is yielded for each. What was asked only what-if is among them. Raises
    ValueError where a decision is not what was recorded.
    """
    for row, answer in _decided(account_id, policies, since, until, Q(approved=False)):
        yield from (_blocked(row, breach, "") for breach in answer.violations if breach.policy_id in policies)


def let_through(account_id: str, policies: Collection[str], since: datetime, until: datetime) -> Iterator[Blocked]:
    """Yield the orders that broke one of these policies and were approved by an override, likewise."""
    by_override = Q(approved=True, answer__contains='"override":{')
    for row, answer in _decided(account_id, policies, since, until, by_override):
        if answer.override is not None:
            why = answer.override.reason
            yield from (_blocked(row, breach, why) for breach in answer.warnings if breach.policy_id in policies)


def _decided(
    account_id: str, policies: Collection[str], since: datetime, until: datetime, condition: Q
) -> Iterator[tuple[OrderDecision, _Answer]]:
    """Yield the decisions whose answer names one of the policies, for whatever it did."""
    if not policies:
        return
    named = Q()
    for policy in policies:
        named |= Q(answer__contains=f'"policy_id":{msgspec.json.encode(policy).decode()}')
    rows = OrderDecision.objects.filter(condition, named, account_id=account_id).defer("inputs")
    rows = rows.filter(decided_at__gte=since, decided_at__lt=until).order_by("decided_at", "decision_id")
    for row in rows.iterator(chunk_size=_TOGETHER):
        try:
            yield row, _answers.decode(row.answer)
        except msgspec.DecodeError as error:
            raise ValueError(f"the record of decision {row.pk} cannot be read: {error}") from error


def _blocked(row: OrderDecision, breach: Breach, override: str) -> Blocked:
    return Blocked(
        decision_id=row.decision_id,
        at=row.decided_at,
        order_id=row.order_id,
        symbol=row.symbol,
        side=row.side,
        quantity=row.quantity,
        price=row.price,
        what_if=row.what_if,
        book_version=row.book_version,
        breach=breach,
        override=override,
    )
