"""Anchors: where the chains ended at some moment, noted where whoever has the database cannot change it.

A chain that is cut off at its end, or written anew from some row on, is as sound as any other. That it is not the one
that there was is shown by an anchor alone: what `risk.audit.head` told on NATS, what stands in the log or in a
manifest of a report.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from audit.heads import Heads
from audit.models import AuditEvent, EvidenceBatch

_line = msgspec.json.Decoder(Heads)


class AnchorProblem(Struct, frozen=True, kw_only=True):
    """An anchor that the database contradicts: from this event or batch on, or in it, something is not as it was."""

    table: str
    sequence: int
    problem: str


class UnreadableAnchor(ValueError):
    """A file that names no end of the chains, and why."""


def read_anchors(path: Path) -> list[Heads]:
    """Return the anchors in a file: JSON, or lines of JSON, with the fields of `Heads`.

    Other fields do not matter, nor do lines of a log that lack them. Raises UnreadableAnchor where there is none.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableAnchor(f"{path}: {error.strerror}") from error
    found = [heads for heads in map(_read, [content, *content.splitlines()]) if heads is not None]
    if not found:
        raise UnreadableAnchor(
            f"{path} names no end of the chains: expected JSON with {', '.join(Heads.__struct_fields__)}"
        )
    return sorted(set(found), key=lambda heads: (heads.events, heads.batches))


def _read(content: bytes) -> Heads | None:
    try:
        return _line.decode(content)
    except (msgspec.MsgspecError, ValueError):
        return None


def anchor_problem(anchor: Heads) -> AnchorProblem | None:
    """Return what an anchor shows that the chains themselves do not; None where it is part of both."""
    events = AuditEvent.objects.filter(sequence=anchor.events).values_list("hash", flat=True).first()
    batches = EvidenceBatch.objects.filter(sequence=anchor.batches).values_list("hash", flat=True).first()
    return _problem("event", anchor.events, anchor.events_hash, events, AuditEvent) or _problem(
        "batch", anchor.batches, anchor.batches_hash, batches, EvidenceBatch
    )


def _problem(
    what: str, sequence: int, expected: str, found: str | None, model: type[AuditEvent | EvidenceBatch]
) -> AnchorProblem | None:
    if not sequence or found == expected:
        return None
    if found is not None:
        problem = f"{what} {sequence} is not the one that the anchor names: it, or one before it, was written anew"
        return AnchorProblem(table=model._meta.label_lower, sequence=sequence, problem=problem)
    last = model._default_manager.order_by("-sequence").values_list("sequence", flat=True).first() or 0
    problem = f"{what} {last + 1} is missing; the anchor names {what} {sequence}"
    return AnchorProblem(table=model._meta.label_lower, sequence=last + 1, problem=problem)
