"""How long each limit was armed in a period, by what the audit log says of its changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils.dateparse import parse_datetime
from msgspec import Struct

from audit.models import AuditEvent
from riskcore.book import Mode

# Events that are read together: each has a limit before and after.
_TOGETHER = 1_000


class Phase(Struct, frozen=True, kw_only=True):
    """A limit as it was from a moment until it was changed again.

    `enforced`: it could stop an order, on some accounts at least; `shadow`: it was only recorded. Either between its
    dates, None: no bound.
    """

    since: datetime
    name: str
    enforced: bool
    shadow: bool
    effective_from: datetime | None
    effective_until: datetime | None


class Armed(Struct, frozen=True, kw_only=True):
    """A limit over a period.

    Attributes
    ----------
    last
        As it was at the end of the period.
    names
        All that it was called in the period.
    at_end
        Whether it was armed at the end, and `since` when, if so.
    share, shadow_share
        The part of the period, 0..1, in which it was armed, and in which it was only recorded.
    """

    policy_id: str
    last: Mapping[str, Any]
    names: frozenset[str]
    at_end: bool
    since: datetime | None
    share: float
    shadow_share: float


def armed_limits(since: datetime, until: datetime) -> Iterator[Armed]:
    """Yield every limit that there was by the end of a period, the first that was made first."""
    events = AuditEvent.objects.filter(object_type="policy", at__lt=until).order_by("sequence")
    phases: defaultdict[str, list[Phase]] = defaultdict(list)
    last: dict[str, Mapping[str, Any]] = {}
    for key, at, after in events.values_list("object_id", "at", "after").iterator(chunk_size=_TOGETHER):
        if isinstance(after, dict) and "enabled" in after:
            phases[key].append(_phase(at, after))
            last[key] = after
    for key, known in phases.items():
        yield _armed(key, known, last[key], since, until)


def _phase(at: datetime, said: Mapping[str, Any]) -> Phase:
    enforced = said.get("mode") != Mode.SHADOW and said.get("rollout_percent") != 0
    return Phase(
        since=at,
        name=str(said.get("name", "")),
        enforced=bool(said["enabled"]) and enforced,
        shadow=bool(said["enabled"]) and not enforced,
        effective_from=_date(said.get("effective_from")),
        effective_until=_date(said.get("effective_until")),
    )


def _armed(key: str, phases: list[Phase], said: Mapping[str, Any], since: datetime, until: datetime) -> Armed:
    ends = [*(phase.since for phase in phases[1:]), until]
    spans = list(zip(phases, ends, strict=True))
    last = phases[-1]
    begin, end = _span(last, until)
    at_end = last.enforced and begin < end == until
    return Armed(
        policy_id=key,
        last=said,
        names=frozenset(phase.name for phase, end in spans if end > since),
        at_end=at_end,
        since=_since(phases) if at_end else None,
        share=_share((_span(phase, end) for phase, end in spans if phase.enforced), since, until),
        shadow_share=_share((_span(phase, end) for phase, end in spans if phase.shadow), since, until),
    )


def _since(phases: list[Phase]) -> datetime:
    """Return since when a limit that is armed has been so without a break."""
    first = phases[-1]
    for phase in reversed(phases):
        if not phase.enforced:
            break
        first = phase
    return max(first.since, first.effective_from or first.since)


def _span(phase: Phase, end: datetime) -> tuple[datetime, datetime]:
    """Return from when until when a phase held, with the dates that the limit had."""
    return max(phase.since, phase.effective_from or phase.since), min(end, phase.effective_until or end)


def _date(text: object) -> datetime | None:
    return parse_datetime(text) if isinstance(text, str) else None


def _share(spans: Iterator[tuple[datetime, datetime]], since: datetime, until: datetime) -> float:
    lasted = timedelta()
    for begin, end in spans:
        lasted += max(timedelta(), min(end, until) - max(begin, since))
    return lasted / (until - since)
