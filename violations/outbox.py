"""What is sent of alerts: written in the alert's transaction, so that nothing published is lost, and sent after it.

A message on NATS is handed over at once. A webhook or an e-mail waits for the task, which tries until it is taken, more
and more seldom, for a day. What a process was sending when it died is sent again: a receiver may hear of it twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from bus.events import AlertRaised, CriticalRaised, EmergencyRaised, WarningRaised
from bus.publish import publish
from violations import channels
from violations.channels import Refused
from violations.metrics import NOTIFICATIONS
from violations.models import NAME_LENGTH, Alert, Channel, ChannelName, Delivery, Level

logger = logging.getLogger(__name__)

_EVENTS: Mapping[str, type[AlertRaised]] = {
    Level.WARNING: WarningRaised,
    Level.CRITICAL: CriticalRaised,
    Level.EMERGENCY: EmergencyRaised,
}

# Of one run: how many messages, and for how long the channel is this process's, which one message never takes.
_TOGETHER = 50
_RUN = timedelta(seconds=20)
_LEASE = timedelta(seconds=60)

_LONGEST_PAUSE_S = 60
_GIVEN_UP_AFTER = timedelta(days=1)

Send = Callable[[AlertRaised], None]


def event_of(alert: Alert) -> AlertRaised:
    """Return what is told of an alert as it was published last."""
    return _EVENTS[alert.level](
        id=str(alert.pk),
        level=alert.level,
        policy_id=alert.policy_id,
        policy_name=alert.policy_name,
        policy_type=alert.policy_type,
        metric=alert.metric,
        metric_value=alert.value,
        threshold_value=alert.threshold,
        account_id=alert.account_id,
        symbol=alert.symbol,
        message=alert.message,
        timestamp=alert.published_at,
    )


def write(alerts: Iterable[Alert], now: datetime) -> list[Delivery]:
    """Write what is to be sent of published alerts, on every channel there is. Call it in their transaction."""
    names = _configured()
    rows = [
        Delivery(alert=alert, channel=name, content=event_of(alert).payload().decode(), created_at=now)
        for alert in alerts
        for name in names
    ]
    return Delivery.objects.bulk_create(rows, batch_size=1_000)


def hand_over(rows: Sequence[Delivery]) -> None:
    """Publish what goes to NATS. Call it after the commit."""
    mine = [row for row in rows if row.channel == ChannelName.NATS]
    for row in mine:
        publish(_read(row))
    if mine:
        NOTIFICATIONS.labels(ChannelName.NATS.value, "sent").inc(len(mine))
        Delivery.objects.filter(pk__in=[row.pk for row in mine]).update(sent_at=timezone.now())


def send_unrecorded(alert: Alert) -> None:
    """Send an alert that the database does not take on every channel there is, once: nobody would try again."""
    event = event_of(alert)
    for name, send in _configured().items():
        try:
            send(event)
            NOTIFICATIONS.labels(name.value, "sent").inc()
        except (Refused, *channels.FAILURES) as error:
            NOTIFICATIONS.labels(name.value, "failed").inc()
            logger.error("alert %s was not sent by %s: %s", alert.pk, name.value, channels.described(error))


def send_waiting(now: datetime) -> int:
    """Send what waits on each channel that no other process is sending on, and return how much of it was taken."""
    _give_up(now)
    return sum(_send_on(name, send, now) for name, send in _configured().items())


def _configured() -> dict[ChannelName, Send]:
    found: dict[ChannelName, Send] = {}
    if settings.NATS_URL:
        found[ChannelName.NATS] = publish
    if settings.RISK_ALERT_WEBHOOK_URL:
        found[ChannelName.WEBHOOK] = channels.send_webhook
    if settings.RISK_ALERT_EMAIL_TO:
        found[ChannelName.EMAIL] = channels.send_email
    return found


def _waiting() -> QuerySet[Delivery]:
    return Delivery.objects.filter(sent_at__isnull=True, given_up_at__isnull=True)


def _give_up(now: datetime) -> None:
    for name in ChannelName:
        old = _waiting().filter(channel=name, created_at__lt=now - _GIVEN_UP_AFTER)
        if count := old.update(given_up_at=now):
            NOTIFICATIONS.labels(name.value, "given_up").inc(count)
            logger.error("%s alerts could not be sent by %s within a day", count, name.label)


def _send_on(name: ChannelName, send: Send, now: datetime) -> int:
    # What was just written for NATS is being handed over by who wrote it.
    due = _waiting().filter(channel=name).order_by("attempts", "id")
    if name is ChannelName.NATS:
        due = due.filter(created_at__lt=now - timedelta(seconds=2))
    if not due.exists():
        return 0
    channel = _claim(name, now)
    if channel is None:
        return 0
    taken, failed = 0, False
    until = timezone.now() + _RUN
    for row in due[:_TOGETHER]:
        failed = not _try(row, send)
        taken += row.sent_at is not None
        if failed or timezone.now() > until:
            break
    _release(channel, failed=failed)
    return taken


def _claim(name: ChannelName, now: datetime) -> Channel | None:
    """Return the channel, for this process alone until `free_at`; None where it is another's, or has to rest."""
    channel, _ = Channel.objects.get_or_create(name=name, defaults={"free_at": now})
    lease = now + _LEASE
    if not Channel.objects.filter(pk=name, free_at=channel.free_at, free_at__lte=now).update(free_at=lease):
        return None
    channel.free_at = lease
    return channel


def _release(channel: Channel, *, failed: bool) -> None:
    """Let others send on the channel, after a pause where it has failed."""
    failures = channel.failures + 1 if failed else 0
    pause_s = min(2 ** min(failures - 1, 10), _LONGEST_PAUSE_S) if failed else 0
    mine = Channel.objects.filter(pk=channel.pk, free_at=channel.free_at)
    mine.update(free_at=timezone.now() + timedelta(seconds=pause_s), failures=failures)


def _try(row: Delivery, send: Send) -> bool:
    """Send one message; return False where the channel is at fault."""
    try:
        send(_read(row))
    except Refused as error:
        _note(row, error, given_up_at=timezone.now())
        NOTIFICATIONS.labels(row.channel, "given_up").inc()
        return True
    except channels.FAILURES as error:
        _note(row, error)
        NOTIFICATIONS.labels(row.channel, "failed").inc()
        return False
    row.sent_at = timezone.now()
    Delivery.objects.filter(pk=row.pk).update(attempts=row.attempts + 1, sent_at=row.sent_at, error="")
    NOTIFICATIONS.labels(row.channel, "sent").inc()
    return True


def _note(row: Delivery, error: Exception, **fields: datetime) -> None:
    text = channels.described(error)
    logger.warning("alert %s was not sent by %s: %s", row.alert_id, row.channel, text)
    Delivery.objects.filter(pk=row.pk).update(attempts=row.attempts + 1, error=text[:NAME_LENGTH], **fields)


def _read(row: Delivery) -> AlertRaised:
    content = msgspec.json.decode(row.content)
    return msgspec.convert(content, _EVENTS[content["level"]], strict=False)
