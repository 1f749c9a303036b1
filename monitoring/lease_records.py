"""The record of leases, by which a live state that was lost is told what it has forgotten (decision 0019).

It follows the live state, a second behind: who holds a lease, of which accounts. Each change has its audit event.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from django.db import transaction

from audit.services import record, snapshot
from emergency.leases import Kept, Lease, OnSilence, kept_leases, swap
from monitoring.models import LeaseRecord
from monitoring.turns import TooLate, Turn
from riskcore.calendar import microseconds, moment
from state.store import Store

logger = logging.getLogger(__name__)

TURN = "oms-leases-record"
_TURN_US = 5_000_000

# Of one look: each is an audit event, for which every other change waits.
_TOGETHER = 100


def keep_records(live: Store, now_us: int) -> None:
    """Record what is held, forget what was released, and put back what the live state has lost; one process at a time.

    What is put back runs from `now_us` on: its holder could not renew it meanwhile. Raises StateUnavailable and
    Django's database errors: the next call does the rest.
    """
    turn = Turn(live, TURN, _TURN_US)
    if not turn.begin():
        return
    try:
        _keep(live, turn, now_us)
    except TooLate:
        logger.warning("the leases are recorded by another process")
    finally:
        turn.end()


def _keep(live: Store, turn: Turn, now_us: int) -> None:
    rows = {row.holder: row for row in LeaseRecord.objects.all()}
    # After the rows, which only who has the turn changes: what was seen before may have been released meanwhile.
    kept = kept_leases(live)
    for holder, row in rows.items():
        seen = kept.get(holder, Kept(holder, None, None))
        if seen.lease is None:
            turn.go_on()
            if swap(live, seen, _lease_of(row, now_us)) is not None:
                logger.error("the lease of %s was lost, and runs from now on", holder)
    changed = [each for each in kept.values() if _is_news(each, rows.get(each.holder))]
    for each in changed[:_TOGETHER]:
        turn.go_on()
        _record(live, each, rows.get(each.holder))


def _is_news(kept: Kept, row: LeaseRecord | None) -> bool:
    if kept.lease is None:
        return False
    if kept.held is None:
        return not kept.lease.to_stop  # until then it is not done with
    return row is None or _asked(row) != (list(kept.held.accounts), kept.held.ttl_us, kept.held.on_silence)


def _asked(row: LeaseRecord) -> tuple[list[str], int, str]:
    return row.accounts, row.ttl_us, row.on_silence


def _record(live: Store, kept: Kept, row: LeaseRecord | None) -> None:
    assert kept.lease is not None
    if kept.held is not None:
        _write(kept.held, row)
        return
    if row is not None:
        _remove(row, kept.lease.released_by)
    swap(live, kept, None)


@transaction.atomic
def _write(lease: Lease, row: LeaseRecord | None) -> None:
    before = None if row is None else snapshot(row)
    now = LeaseRecord(
        holder=lease.holder,
        accounts=list(lease.accounts),
        ttl_us=lease.ttl_us,
        on_silence=lease.on_silence.value,
        actor=lease.actor,
        granted_at=moment(lease.granted_at_us),
    )
    now.save()
    action, why = (
        ("lease.change", "Renewed otherwise than before") if before else ("lease.grant", "Asked for by an OMS")
    )
    _audit(action, lease.actor, why, now, before=before, after=snapshot(now))


@transaction.atomic
def _remove(row: LeaseRecord, actor: str) -> None:
    before = snapshot(row)
    holder = row.holder
    row.delete()
    row.holder = holder  # Django takes the key of what is deleted
    _audit("lease.release", actor, "Released in good order", row, before=before, after=None)


def _audit(
    action: str,
    actor: str,
    reason: str,
    row: LeaseRecord,
    *,
    before: Mapping[str, object] | None,
    after: Mapping[str, object] | None,
) -> None:
    record(
        actor=actor,
        action=action,
        object_type="lease",
        object_id=row.holder,
        object_label=row.holder,
        reason=reason,
        before=before,
        after=after,
    )


def _lease_of(row: LeaseRecord, now_us: int) -> Lease:
    return Lease(
        holder=row.holder,
        accounts=tuple(row.accounts),
        ttl_us=row.ttl_us,
        on_silence=OnSilence(row.on_silence),
        actor=row.actor,
        granted_at_us=microseconds(row.granted_at),
        renewed_at_us=now_us,
    )
