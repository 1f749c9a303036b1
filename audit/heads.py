"""Where the chains of evidence end now: noted outside the database, it proves later that nothing was cut off since."""

from __future__ import annotations

from msgspec import Struct

from audit.canonical import GENESIS
from audit.models import AuditHead, EvidenceHead


class Heads(Struct, frozen=True, kw_only=True):
    """How many audit events and batches of evidence there are, and the hash of the last of each."""

    events: int
    events_hash: str
    batches: int
    batches_hash: str


def heads() -> Heads:
    """Return where the chains end."""
    events = AuditHead.objects.filter(pk=1).first()
    batches = EvidenceHead.objects.filter(pk=1).first()
    return Heads(
        events=0 if events is None else events.sequence,
        events_hash=GENESIS if events is None else events.hash,
        batches=0 if batches is None else batches.sequence,
        batches_hash=GENESIS if batches is None else batches.hash,
    )
