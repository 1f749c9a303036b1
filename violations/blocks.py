"""Orders that were blocked for a limit, recorded as violations: each exactly once, within seconds of its decision.

Many blocks of one limit by one account in one symbol are one violation, as long as no pause between two of them is
longer than RISK_ALERT_WINDOW. The decisions themselves are in the audit, each with its order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from django.db import connection, transaction
from django.db.models import F
from msgspec import Struct

from audit.models import OrderDecision
from riskcore.book import PolicyType
from riskcore.types import Breach, Verdict
from violations import breaker, episodes
from violations.metrics import TRIPS, VIOLATIONS
from violations.models import BlockedOrder, BlockLock, BreakerTrip, Kind, Violation
from violations.observations import Observation

BATCH = 500


class _Answer(Struct, frozen=True):
    """What of a decision is read here."""

    violations: tuple[Breach, ...]


_answers = msgspec.json.Decoder(_Answer)


@dataclass
class _Block:
    """One limit for which one order was blocked."""

    decision: OrderDecision
    breach: Observation


def record_blocks(now: datetime, window: timedelta, *, batch: int = BATCH) -> int:
    """Record up to `batch` blocked orders, end what has been quiet for a while, and return how many orders there were.

    What another process is recording is left to it.
    """
    with transaction.atomic():
        if not _is_our_turn():
            return 0
        waiting = list(BlockedOrder.objects.order_by("pk").values_list("pk", flat=True)[:batch])
        decisions = OrderDecision.objects.filter(pk__in=waiting).order_by("decided_at", "decision_id")
        blocks = [_Block(decision, each) for decision in decisions for each in _breaches(decision)]
        _record(blocks, window)
        _end_quiet(now, window)
        BlockedOrder.objects.filter(pk__in=waiting).delete()
        by = breaker.rule()
        trips = breaker.count(_hits(blocks) if by.blocks else {}, now, by)
        transaction.on_commit(lambda: _tell(blocks, trips))
    return len(waiting)


def _is_our_turn() -> bool:
    BlockLock.objects.get_or_create(pk=1)
    skip_locked = connection.features.has_select_for_update_skip_locked
    return BlockLock.objects.select_for_update(skip_locked=skip_locked).filter(pk=1).first() is not None


def _breaches(decision: OrderDecision) -> Iterable[Observation]:
    """Yield the limits for which an order was blocked."""
    for breach in _answers.decode(decision.answer).violations:
        yield Observation(
            account_id=decision.account_id,
            policy_id=breach.policy_id or "",
            policy_name=breach.name,
            policy_type=breach.type,
            policy_version=0,
            metric=breach.metric,
            symbol=decision.symbol,
            exchange=decision.exchange,
            value=breach.value,
            threshold=breach.threshold,
            operator=breach.operator,
            utilisation=breach.utilisation,
            message=breach.message,
            at=decision.decided_at,
        )


def _record(blocks: Sequence[_Block], window: timedelta) -> None:
    known = {row.key: row for row in episodes.lock_open(Kind.BLOCK, {block.decision.account_id for block in blocks})}
    there, changed = {row.pk for row in known.values()}, dict[UUID, Violation]()
    for block in blocks:
        row = known.get(block.breach.key)
        if row is None or not (episodes.is_same(row, block.breach) and block.breach.at - row.last_at <= window):
            if row is not None:
                row.closed_at = row.last_at
                changed[row.pk] = row
            row = known[block.breach.key] = episodes.begin(block.breach, Kind.BLOCK)
        else:
            episodes.take(row, block.breach)
        if block.breach.at >= row.last_at:
            row.order_id, row.decision_id = block.decision.order_id, block.decision.pk
        changed[row.pk] = row
    episodes.save([row for row in changed.values() if row.pk in there])
    Violation.objects.bulk_create([row for row in changed.values() if row.pk not in there])


def _end_quiet(now: datetime, window: timedelta) -> None:
    """End what no order was blocked for any more; its last block was its end."""
    quiet = Violation.objects.filter(kind=Kind.BLOCK, closed_at__isnull=True, last_at__lt=now - window)
    quiet.update(closed_at=F("last_at"))


def _hits(blocks: Iterable[_Block]) -> dict[str, list[datetime]]:
    """Return when orders were blocked for hard limits, by account.

    An order counts once, for however many limits. One that may come back smaller does not count.
    """
    hard = {
        block.decision.pk: block.decision
        for block in blocks
        if block.breach.policy_type == PolicyType.HARD and block.decision.verdict == Verdict.BLOCK
    }
    hits: dict[str, list[datetime]] = {}
    for decision in hard.values():
        hits.setdefault(decision.account_id, []).append(decision.decided_at)
    return hits


def _tell(blocks: Iterable[_Block], trips: Sequence[BreakerTrip]) -> None:
    for block in blocks:
        VIOLATIONS.labels(block.breach.policy_type, block.breach.policy_name).inc()
    TRIPS.inc(len(trips))
