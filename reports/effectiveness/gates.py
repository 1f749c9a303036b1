"""The gates of a check that are no limits of officers, and what stops trading by itself (SPEC 3, 6 and 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from django.conf import settings
from django.db.models import Count, Max, Q
from msgspec import Struct

from api.rest.stops import recorded_stops
from emergency.models import EmergencyStop
from emergency.words import Trigger
from monitoring.models import LeaseRecord
from reports.effectiveness.counting import Refused, Span
from reports.standing import Standing
from riskcore.reasons import Reason
from violations.models import BreakerTrip


class Gate(Struct, frozen=True, kw_only=True):
    """One gate over a period.

    `orders` were refused by it, `stops` were set off by it; `last_at` when it did either last. `armed`: whether it can
    do so, and `why` says what that goes by. `last_drill` and `drill` tell of the last trial by the end of the period.
    """

    name: str
    does: str
    armed: bool
    why: str
    orders: int = 0
    stops: int = 0
    last_at: datetime | None = None
    last_drill: datetime | None = None
    drill: str = ""


class _Rule(Struct, frozen=True):
    """A gate that refuses orders for some reasons. `armed` says whether a book has anything for it to go by."""

    name: str
    does: str
    reasons: tuple[Reason, ...]
    armed: Callable[[Standing], tuple[bool, str]]


def _always(_standing: Standing) -> tuple[bool, str]:
    return True, "part of every check"


def _restrictions(standing: Standing) -> tuple[bool, str]:
    count = len(standing.book.restrictions)
    return count > 0, f"{count:,} restrictions in book {standing.row.version}"


def _strategies(standing: Standing) -> tuple[bool, str]:
    count = sum(bool(profile.strategies) for profile in standing.book.profiles)
    return count > 0, f"{count:,} profiles that name strategies in book {standing.row.version}"


def _rates(standing: Standing) -> tuple[bool, str]:
    count = sum(policy.metric in ("order_rate", "repeated_orders") for policy in standing.book.policies)
    return count > 0, f"{count:,} limits on rates in book {standing.row.version}"


_RULES = (
    _Rule("Well-formed orders", "refuses what is no sound order of its instrument", (Reason.INVALID_ORDER,), _always),
    _Rule("Emergency stop", "refuses orders in the scope of a stop", (Reason.EMERGENCY_STOP_ACTIVE,), _always),
    _Rule(
        "Risk of the firm",
        "refuses what does not reduce, while the firm is at its limits",
        (Reason.GLOBAL_RISK_CRITICAL, Reason.EMERGENCY_ACTION_REQUIRED),
        _always,
    ),
    _Rule("Restricted symbols", "refuses orders in them", (Reason.SYMBOL_BLOCKED,), _restrictions),
    _Rule("Known accounts", "refuses orders of others, and of disabled ones", (Reason.UNKNOWN_ACCOUNT,), _always),
    _Rule("Fresh account state", "refuses to decide on an old state", (Reason.STALE_ACCOUNT_STATE,), _always),
    _Rule("Fresh prices", "refuses to decide without a price, or on an old one", (Reason.PRICE_UNAVAILABLE,), _always),
    _Rule("Allowed strategies", "refuses others than a profile names", (Reason.STRATEGY_NOT_ALLOWED,), _strategies),
    _Rule("Duplicate orders", "refuses an id that was used for another order", (Reason.DUPLICATE_ORDER,), _always),
    _Rule("Message rates", "refuses orders that come too fast or repeat", (Reason.RATE_LIMIT_EXCEEDED,), _rates),
    _Rule("Self-match", "refuses to trade with an own open order", (Reason.SELF_MATCH,), _always),
    _Rule("Available margin", "refuses what margin does not allow", (Reason.INSUFFICIENT_MARGIN,), _always),
)
# Those without which no limit is looked at: what they refused, limits were never asked about.
STARVING = (Reason.STALE_ACCOUNT_STATE, Reason.PRICE_UNAVAILABLE)


def gates(span: Span, standing: Standing | None, refused: Mapping[str, Refused]) -> Iterator[Gate]:
    """Yield every gate, in the order in which an order meets them, and then what stops trading by itself."""
    for rule in _RULES:
        armed, why = (False, "no book was published") if standing is None else rule.armed(standing)
        found = [refused[reason] for reason in rule.reasons if reason in refused]
        gate = Gate(
            name=rule.name,
            does=rule.does,
            armed=armed,
            why=why,
            orders=sum(each.orders for each in found),
            last_at=max((each.last_at for each in found), default=None),
        )
        yield _with_stops(gate, span) if rule.name == "Emergency stop" else gate
    yield _breaker(span)
    yield _leases(span)


def _with_stops(gate: Gate, span: Span) -> Gate:
    stops, last_at = _stops(span, ~Q(trigger=Trigger.DRILL))
    drill = recorded_stops(span.accounts).filter(trigger=Trigger.DRILL, engaged_at__lt=span.until).first()
    return Gate(
        name=gate.name,
        does=gate.does,
        armed=gate.armed,
        why=gate.why,
        orders=gate.orders,
        stops=stops,
        last_at=max(filter(None, (gate.last_at, last_at)), default=None),
        last_drill=None if drill is None else drill.engaged_at,
        drill="" if drill is None else drill_in_words(drill),
    )


def drill_in_words(drill: EmergencyStop) -> str:
    """Return what a drill showed, as the record of its stop has it."""
    took = (drill.engaged_at - drill.asked_at).total_seconds() * 1000
    force = f"in force after {took:.0f} ms" if drill.in_force_known else "when it was in force is not known"
    ended = f"lifted by {drill.lifted_by}" if drill.lifted_at is not None else "not lifted yet"
    return f"{drill.where}, {force}, {drill.status}, {ended}"


def _breaker(span: Span) -> Gate:
    rows = BreakerTrip.objects.filter(at__gte=span.since, at__lt=span.until)
    rows = rows.filter(account_id__in=span.accounts) if span.accounts else rows
    found = rows.aggregate(trips=Count("*"), last_at=Max("at"))
    count, window = settings.RISK_BREAKER_COUNT, settings.RISK_BREAKER_WINDOW.total_seconds()
    why = (
        f"{count} hard violations within {window:g} s, as it is set now" if count else "switched off, as it is set now"
    )
    return Gate(
        name="Circuit breaker",
        does="stops trading after so many hard violations of an account",
        armed=count > 0,
        why=why,
        stops=found["trips"],
        last_at=found["last_at"],
    )


def _leases(span: Span) -> Gate:
    stops, last_at = _stops(span, Q(trigger=Trigger.LEASE))
    held = LeaseRecord.objects.values_list("accounts", flat=True)
    leases = sum(not span.accounts or bool(span.accounts.intersection(accounts)) for accounts in held)
    return Gate(
        name="Dead man's switch",
        does="acts when an OMS that holds a lease falls silent",
        armed=leases > 0,
        why=f"{leases:,} leases are held now",
        stops=stops,
        last_at=last_at,
    )


def _stops(span: Span, of: Q) -> tuple[int, datetime | None]:
    rows = recorded_stops(span.accounts).filter(of, engaged_at__gte=span.since, engaged_at__lt=span.until)
    found = rows.order_by().aggregate(stops=Count("*"), last_at=Max("engaged_at"))
    return found["stops"], found["last_at"]
