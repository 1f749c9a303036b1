"""What is wrong with the system itself: told like a broken limit, by an episode and an alert (decision 0019).

Nothing of it counts for the circuit breaker. While the database is away it is told all the same, to the log and on
every channel, and recorded once the database is back.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import DatabaseError, InterfaceError, transaction

from riskcore.book import Operator, PolicyType
from state.store import StateUnavailable
from state.wiring import store
from violations import alerts, episodes, outbox
from violations.models import Kind
from violations.observations import Observation
from violations.services import Observed, tell

logger = logging.getLogger(__name__)

# The metric of whoever has said nothing for too long.
SILENCE = "silence_seconds"

# When this process has told of what, with neither the database nor the live state, in monotonic seconds.
_told_s: dict[str, float] = {}


def fault(
    part: str,
    which: str,
    *,
    name: str,
    level: PolicyType,
    metric: str,
    value: Decimal | None,
    threshold: Decimal,
    message: str,
    at: datetime,
    account_id: str = "",
    version: int = 0,
) -> Observation:
    """Return something that is wrong with the system itself, as `tell_faults` takes it.

    Parameters
    ----------
    part, which
        The part of the system whose faults are told together, and which of them this is.
    name
        What it is called for people, one of a few: metrics are labelled with it.
    level
        How urgent it is: hard is a critical alert, emergency one of its own name.
    metric, value, threshold
        What is measured, in the unit that its name says, and the most of it that may be; `value` None: it has none.
    account_id, version
        Of the account and the policy that it is about, if it is about one.
    """
    return Observation(
        account_id=account_id,
        policy_id=f"{part}:{which}",
        policy_name=name,
        policy_type=level.value,
        policy_version=version,
        metric=metric,
        symbol="",
        exchange="",
        value=value,
        threshold=threshold,
        operator=Operator.AT_MOST.value,
        utilisation=value / threshold if value is not None and threshold else None,
        message=message,
        at=at,
    )


def tell_faults(part: str, found: Sequence[Observation], now: datetime) -> bool:
    """Tell of all that is wrong with a part of the system, and that the rest of it is over.

    May be called by any number of processes at once: each fault is told once, and again every RISK_ALERT_WINDOW.
    Returns whether it is recorded; where it is not, it was told to the log and on every channel, and it takes another
    call.
    """
    try:
        seen = _observe(part, found, now)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("what is wrong with %s is not recorded for now: %s", part, error)
        for each in found:
            if _is_first(each):
                logger.critical("%s", each.message)
                outbox.send_unrecorded(alerts.new_alert(episodes.begin(each, Kind.FAULT), now))
        return False
    for row in seen.opened:
        logger.critical("%s", row.message)
    for row in seen.closed:
        logger.warning("over since %s: %s", row.closed_at, row.message)
    return True


def _observe(part: str, found: Sequence[Observation], now: datetime) -> Observed:
    with transaction.atomic():
        became = episodes.follow_faults(found, part, now)
        told = alerts.follow(became, now, settings.RISK_ALERT_WINDOW)
        sent = outbox.write(told.published, now)
        seen = Observed(
            opened=became.opened,
            continued=len(became.continued),
            closed=became.closed,
            published=told.published,
            resolved=told.resolved,
            deduplicated=told.deduplicated,
        )
        transaction.on_commit(lambda: tell(seen, sent), robust=True)
    return seen


def _is_first(each: Observation) -> bool:
    """Return whether nobody has told of it without the database within RISK_ALERT_WINDOW, as far as can be known."""
    window: timedelta = settings.RISK_ALERT_WINDOW
    try:
        life_us = window // timedelta(microseconds=1)
        return store().hold_lease(f"told:{each.policy_id}", uuid.uuid4().hex, life_us) is not None
    except StateUnavailable:
        return _is_first_here(each.policy_id, window.total_seconds())


def _is_first_here(what: str, window_s: float) -> bool:
    now_s, before_s = time.monotonic(), _told_s.get(what)
    if before_s is not None and now_s - before_s < window_s:
        return False
    _told_s[what] = now_s
    return True
