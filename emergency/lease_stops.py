"""What the silence of an OMS does to its accounts: a stop in REDUCING for each, which people lift.

All of it goes to the live state: the flags first, and with each the note by which `emergency.keep_stops` records it
within a second, or when the database is back. So many accounts do not wait for the database, one after the other.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from bus.publish import publish
from emergency import metrics
from emergency.flags import Raised, raise_flag
from emergency.leases import Lease
from emergency.notes import Note, StopNote, accounts_notes, encode
from emergency.records import asked_again, engaged_event
from emergency.snapshot import take_snapshot
from emergency.words import Trigger
from riskcore.ports import StopScope
from riskcore.types import TradingState
from state.store import Store

logger = logging.getLogger(__name__)


def reduce_accounts(live: Store, lease: Lease, accounts: Iterable[str]) -> None:
    """Let only orders pass that reduce, in these accounts of a lease whose holder was silent.

    In force in every process when it returns. An account that is stopped already, at least as far, stays as it is.
    Raises StateUnavailable: some may be stopped, and it may be called again for all.
    """
    raised = [raise_flag(live, _asked(lease, account_id)) for account_id in accounts]
    notes: list[Note] = []
    for each in raised:
        notes += _engaged(live, each.note) if each.new else [_again(each, lease)]
    live.put_stop_notes({note.name: encode(note) for note in notes})


def _asked(lease: Lease, account_id: str) -> StopNote:
    return StopNote(
        id="",
        scope=StopScope.ACCOUNT,
        scope_id=account_id,
        state=TradingState.REDUCING,
        reason=f"The OMS {lease.holder}, which trades this account, was silent for longer than {_seconds(lease)} s",
        triggered_by=_by(lease),
        trigger=Trigger.LEASE,
        unwind=False,
        actor=_by(lease),
        asked_at_us=0,
    )


def _engaged(live: Store, note: StopNote) -> list[Note]:
    """Tell of a stop that has just come into force, and return what is to be recorded of it."""
    metrics.stops.inc()
    logger.critical("emergency stop %s: %s %s: %s", note.id, note.state, note.scope_id, note.reason)
    publish(engaged_event(note))
    return [note, *accounts_notes(note.id, take_snapshot(live, note.scope, note.scope_id))]


def _again(raised: Raised, lease: Lease) -> Note:
    reason = f"silent for longer than {_seconds(lease)} s"
    return asked_again(raised.note.id, raised.at_us, triggered_by=_by(lease), trigger=Trigger.LEASE, reason=reason)


def _by(lease: Lease) -> str:
    return f"lease {lease.holder}"


def _seconds(lease: Lease) -> int:
    return lease.ttl_us // 1_000_000
