"""Alerts of violations: raised once for each limit, metric, account and symbol, however often it is observed.

One that keeps firing is published again every RISK_ALERT_WINDOW. One that is resolved and comes back within that, or
while it is silenced, is the same alert: it goes on as it was, and nobody is told twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Q

from violations import bulk
from violations.episodes import Episodes
from violations.models import Alert, AlertState, Level, Violation
from violations.observations import AlertKey

_CHANGED = (
    *("state", "resolved_at", "published_at", "times_published"),
    *("violation", "value", "threshold", "operator", "message", "exchange", "policy_name"),
)


@dataclass
class Alerts:
    """What became of the alerts of some episodes. `deduplicated` counts observations nobody was told of again."""

    published: list[Alert] = field(default_factory=list)
    resolved: list[Alert] = field(default_factory=list)
    deduplicated: int = 0


@dataclass
class _Changes:
    """The alerts as they are known, and those that are to be written."""

    known: dict[AlertKey, Alert]
    new: dict[AlertKey, Alert] = field(default_factory=dict)
    changed: dict[AlertKey, Alert] = field(default_factory=dict)
    replaced: list[Alert] = field(default_factory=list)
    published: list[Alert] = field(default_factory=list)


def follow(episodes: Episodes, now: datetime, window: timedelta) -> Alerts:
    """Raise, publish again and resolve alerts. Call it in the transaction of the episodes."""
    changes = _Changes(_lock(episodes, now, window))
    for row in episodes.opened:
        _opened(changes, row, now, window)
    for row in episodes.continued:
        _continued(changes, row, now, window)
    still = {row.alert_key for row in (*episodes.observed, *episodes.untouched)}
    resolved = _resolve(changes, {row.alert_key for row in episodes.closed} - still, now)
    bulk.update([*changes.replaced, *changes.changed.values()], _CHANGED)
    # In one order, so that two processes wait for each other in one direction only.
    new = sorted(changes.new.values(), key=lambda alert: alert.alert_key)
    lost = {alert.pk for alert in new} - {alert.pk for alert in bulk.insert(new)}
    published = [alert for alert in changes.published if alert.pk not in lost]
    return Alerts(published, [*changes.replaced, *resolved], len(episodes.observed) - len(published))


def _lock(episodes: Episodes, now: datetime, window: timedelta) -> dict[AlertKey, Alert]:
    """Return the alerts that may have to be changed, locked: the latest of each key."""
    changed = {row.account_id for row in (*episodes.opened, *episodes.closed)}
    continued = {row.account_id for row in episodes.continued}
    if not changed and not continued:
        return {}
    not_over = Q(resolved_at__isnull=True) | Q(published_at__gt=now - window) | Q(silenced_until__gt=now)
    due = Q(state=AlertState.FIRING, published_at__lte=now - window)
    due |= Q(state=AlertState.SILENCED, silenced_until__lte=now)
    rows = Alert.objects.filter((Q(account_id__in=changed) & not_over) | (Q(account_id__in=continued) & due))
    found = list(rows.select_for_update().order_by("pk"))
    found.sort(key=lambda alert: (alert.resolved_at is None, alert.raised_at))
    return {alert.alert_key: alert for alert in found}


def _opened(changes: _Changes, row: Violation, now: datetime, window: timedelta) -> None:
    key = row.alert_key
    if key in changes.new:  # of another exchange
        return
    known = changes.known.get(key)
    if known is not None and known.level != row.level:
        if known.resolved_at is None:
            known.state, known.resolved_at = AlertState.RESOLVED, now
            changes.replaced.append(known)
        known = None
    if known is None:
        alert = changes.new[key] = new_alert(row, now)
        changes.published.append(alert)
    elif known.resolved_at is not None:
        known.resolved_at, known.state = None, _state_of(known, now)
        _tell(known, row)
        changes.changed[key] = known
        _publish_if_due(changes, known, now, window)


def _continued(changes: _Changes, row: Violation, now: datetime, window: timedelta) -> None:
    known = changes.known.get(row.alert_key)
    if known is None or known.resolved_at is not None or row.alert_key in changes.changed:
        return
    silence_is_over = known.state == AlertState.SILENCED and known.silenced_until and known.silenced_until <= now
    if silence_is_over:
        known.state = _state_of(known, now)
    if silence_is_over or (known.state == AlertState.FIRING and known.published_at <= now - window):
        _tell(known, row)
        changes.changed[row.alert_key] = known
        _publish_if_due(changes, known, now, window)


def _publish_if_due(changes: _Changes, alert: Alert, now: datetime, window: timedelta) -> None:
    if alert.state == AlertState.FIRING and alert.published_at <= now - window:
        alert.published_at = now
        alert.times_published += 1
        changes.published.append(alert)


def _resolve(changes: _Changes, keys: Iterable[AlertKey], now: datetime) -> list[Alert]:
    resolved = []
    for key in sorted(keys):
        alert = changes.known.get(key)
        if alert is not None and alert.resolved_at is None:
            alert.state, alert.resolved_at = AlertState.RESOLVED, now
            changes.changed[key] = alert
            resolved.append(alert)
    return resolved


def _state_of(alert: Alert, now: datetime) -> AlertState:
    """Return the state of an alert that is not resolved, by what people have done about it."""
    if alert.silenced_until is not None and alert.silenced_until > now:
        return AlertState.SILENCED
    return AlertState.ACKNOWLEDGED if alert.acknowledged_at is not None else AlertState.FIRING


def new_alert(row: Violation, now: datetime) -> Alert:
    """Return the alert of an episode, not saved, as it is published first."""
    alert = Alert(
        level=Level(row.level),
        policy_id=row.policy_id,
        policy_type=row.policy_type,
        metric=row.metric,
        account_id=row.account_id,
        symbol=row.symbol,
        raised_at=now,
        published_at=now,
    )
    _tell(alert, row)
    return alert


def _tell(alert: Alert, row: Violation) -> None:
    """Have the alert say what the episode is like now."""
    alert.violation, alert.policy_name, alert.exchange = row, row.policy_name, row.exchange
    alert.value, alert.threshold, alert.operator, alert.message = row.value, row.threshold, row.operator, row.message
