"""What the monitor and people do: `observe` what is broken, acknowledge and silence alerts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from audit.acting import Acting
from audit.services import record, snapshot
from emergency.forced import lifted_in_spite
from riskcore.book import PolicyType
from violations import alerts, breaker, episodes, outbox
from violations.errors import AlreadyAcknowledged, NoSuchAlert
from violations.metrics import DEDUPLICATED, PUBLISHED, TRIPS, VIOLATIONS
from violations.models import NOTE_LENGTH, Alert, AlertState, BreakerTrip, Delivery, Kind, Violation
from violations.observations import Observation

HANDLE = "violations.handle_alert"
LONGEST_SILENCE = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What came of one look at the accounts.

    `continued` and `deduplicated` are counts: of episodes that go on, of observations nobody was told of again.
    """

    opened: Sequence[Violation] = ()
    continued: int = 0
    closed: Sequence[Violation] = ()
    published: Sequence[Alert] = ()
    resolved: Sequence[Alert] = ()
    deduplicated: int = 0
    trips: Sequence[BreakerTrip] = ()


def observe(
    observations: Sequence[Observation],
    accounts_seen: Collection[str],
    now: datetime,
    *,
    engage: breaker.Engage | None = None,
) -> Observed:
    """Record what the monitor found broken: episodes, alerts, the circuit breaker; and act on it.

    May be called by many processes at once, each for its accounts or two for the same: what is observed twice at one
    moment counts once. Takes a number of queries that does not grow with the accounts.

    Parameters
    ----------
    observations
        The limits found broken, each once.
    accounts_seen
        The accounts whose limits could be evaluated, broken or not; an empty name for the firm. Episodes of others stay
        open: nobody knows.
    now
        The moment of the look, timezone-aware.
    engage
        What engages a stop where the circuit breaker trips.

    Raises
    ------
    DatabaseError
        Nothing was recorded.
    """
    window, by = settings.RISK_ALERT_WINDOW, breaker.rule()
    with transaction.atomic():
        found = episodes.follow(observations, accounts_seen, now)
        told = alerts.follow(found, now, window)
        sent = outbox.write(told.published, now)
        trips = breaker.count(_hard(found.observed), now, by)
        seen = Observed(
            opened=found.opened,
            continued=len(found.continued),
            closed=found.closed,
            published=told.published,
            resolved=told.resolved,
            deduplicated=told.deduplicated,
            trips=trips,
        )
        transaction.on_commit(lambda: _act(seen, sent, now, by, engage), robust=True)
    return seen


def _hard(observed: Iterable[Violation]) -> dict[str, list[datetime]]:
    """Return when hard limits were observed broken, by account.

    Those that were broken when two people re-enabled trading in spite of it, and are still, do not count.
    """
    hard = [row for row in observed if row.policy_type == PolicyType.HARD]
    lifted = lifted_in_spite({row.account_id for row in hard}) if hard else {}
    hits: dict[str, list[datetime]] = {}
    for row in hard:
        since = lifted.get(row.account_id)
        if since is None or row.opened_at >= since:
            hits.setdefault(row.account_id, []).append(row.last_at)
    return hits


def began_before(observation: Observation, moment: datetime) -> bool:
    """Return whether the episode that an observation belongs to is open and began before a moment."""
    key = observation.key
    return Violation.objects.filter(
        kind=Kind.EPISODE,
        closed_at=None,
        opened_at__lt=moment,
        policy_id=key.policy_id,
        account_id=key.account_id,
        symbol=key.symbol,
        exchange=key.exchange,
    ).exists()


def _act(
    seen: Observed, sent: Sequence[Delivery], now: datetime, by: breaker.Rule, engage: breaker.Engage | None
) -> None:
    """Stop first, then tell."""
    if seen.trips:
        breaker.engage_pending(engage)
    tell(seen, sent)
    TRIPS.inc(len(seen.trips))
    breaker.show_count(now, by)


def tell(seen: Observed, sent: Sequence[Delivery]) -> None:
    """Hand over what is to be sent, and count. Call it after the commit."""
    outbox.hand_over(sent)
    for row in seen.opened:
        VIOLATIONS.labels(row.policy_type, row.policy_name).inc()
    for alert in seen.published:
        PUBLISHED.labels(alert.level).inc()
    DEDUPLICATED.inc(seen.deduplicated)


# ------------------------------------------------------------------------------------------------- people
@transaction.atomic
def do_acknowledge_alert(*, acting: Acting, alert_id: UUID | str, note: str) -> Alert:
    """Say that somebody has taken an alert on; it is not published again until its limit has held in between.

    One that is resolved stays so. Raises NotAllowed, NoSuchAlert, AlreadyAcknowledged, and ValidationError by field.
    """
    acting.demand(HANDLE)
    _check_text("note", note)
    alert = _locked(acting, alert_id)
    if alert.acknowledged_at is not None:
        raise AlreadyAcknowledged(alert.acknowledged_by, alert.acknowledged_at)
    before = snapshot(alert)
    alert.acknowledged_by, alert.acknowledged_at, alert.note = acting.name, timezone.now(), note
    if alert.state == AlertState.FIRING:
        alert.state = AlertState.ACKNOWLEDGED
    return _finish(alert, before, acting=acting, reason=note, action="alert.acknowledge")


@transaction.atomic
def do_silence_alert(*, acting: Acting, alert_id: UUID | str, until: datetime, reason: str) -> Alert:
    """Have an alert not published until a moment (timezone-aware, at most 30 days ahead), also where it comes back.

    A later silence takes the place of the one before. Raises NotAllowed, NoSuchAlert, and ValidationError by field.
    """
    acting.demand(HANDLE)
    _check_text("reason", reason)
    now = timezone.now()
    if until <= now:
        raise ValidationError({"until": "This moment has passed: say until when the alert is to be silent."})
    if until > now + LONGEST_SILENCE:
        raise ValidationError({"until": f"At most {LONGEST_SILENCE.days} days ahead: nothing is silenced for good."})
    alert = _locked(acting, alert_id)
    before = snapshot(alert)
    alert.silenced_by, alert.silenced_at = acting.name, now
    alert.silenced_until, alert.silence_reason = until, reason
    if alert.state != AlertState.RESOLVED:
        alert.state = AlertState.SILENCED
    return _finish(alert, before, acting=acting, reason=reason, action="alert.silence")


def _check_text(name: str, text: str) -> None:
    if not text.strip():
        raise ValidationError({name: "Say why: it is kept in the audit log, with your name."})
    if len(text) > NOTE_LENGTH:
        raise ValidationError({name: f"At most {NOTE_LENGTH} characters; these are {len(text)}."})


def _locked(acting: Acting, alert_id: UUID | str) -> Alert:
    """Return an alert, locked. Raises NoSuchAlert, and NotTheirAccount where it is not the business of who acts."""
    try:
        found = Alert.objects.select_for_update().filter(pk=alert_id).first()
    except ValidationError:  # it is no UUID
        found = None
    if found is None:
        raise NoSuchAlert(alert_id)
    acting.demand_account(found.account_id, "this alert")
    return found


def _finish(alert: Alert, before: dict[str, object], *, acting: Acting, reason: str, action: str) -> Alert:
    alert.save()
    record(
        actor=acting.name,
        action=action,
        object_type="alert",
        object_id=alert.pk,
        object_label=str(alert),
        reason=reason,
        before=before,
        after=snapshot(alert),
    )
    return alert
