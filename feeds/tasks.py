"""What runs by the clock."""

from __future__ import annotations

import logging

from celery import shared_task
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from feeds import apply, bars, equity, returns, shared_keys
from feeds.books import BOOKS
from feeds.history import LAST_WRITTEN_AFTER
from feeds.models import Interval
from feeds.retention import trim_history as trim
from state.store import StateUnavailable
from state.wiring import store

logger = logging.getLogger(__name__)


@shared_task(name="feeds.keep_baselines", ignore_result=True)
def keep_baselines() -> None:
    """Keep every account's peak and start equities. Every 30 seconds: so much of them may be lost with the state."""
    try:
        apply.keep_baselines(store())
    except (StateUnavailable, OperationalError, InterfaceError) as error:
        logger.warning("baselines are not kept for now: %s", error)


@shared_task(name="feeds.keep_bars", ignore_result=True)
def keep_bars() -> None:
    """Keep the bars that prices made. Every five seconds: embedded, so much of the running minute may be lost."""
    try:
        bars.keep_bars(store(), length=Interval(settings.RISK_PRICE_BARS), running=settings.EMBEDDED)
    except (StateUnavailable, OperationalError, InterfaceError) as error:
        logger.warning("bars are not kept for now: %s", error)


@shared_task(name="feeds.keep_equity", ignore_result=True)
def keep_equity() -> None:
    """Keep what every account's equity is, and the firm's, as often as the settings say."""
    try:
        equity.keep_equity(store(), BOOKS, settings.RISK_EQUITY_INTERVAL)
    except (StateUnavailable, OperationalError, InterfaceError) as error:
        logger.warning("the equity of accounts is not kept for now: %s", error)


# What the history was, and on which day, when this process last published it.
_published: tuple[object, ...] = ()


@shared_task(name="feeds.publish_returns", ignore_result=True)
def publish_returns() -> None:
    """Make the book go by the daily returns there are, when a day is over or its history has changed."""
    global _published  # noqa: PLW0603 - a memo that spares reading years of prices
    now = timezone.now()
    try:
        seen = (*returns.signature(), (now - LAST_WRITTEN_AFTER).date())
        if seen != _published:
            returns.publish_returns(now, days=settings.RISK_VAR_DAYS)
            _published = seen
    except (StateUnavailable, OperationalError, InterfaceError) as error:
        logger.warning("returns are not published for now: %s", error)


@shared_task(name="feeds.trim_history", ignore_result=True)
def trim_history() -> None:
    """Remove prices and equity that are older than the settings keep. Every hour."""
    try:
        gone = trim(
            timezone.now(),
            price_days=settings.RISK_PRICE_HISTORY_DAYS,
            intraday_days=settings.RISK_INTRADAY_HISTORY_DAYS,
            equity_days=settings.RISK_EQUITY_HISTORY_DAYS,
        )
    except (OperationalError, InterfaceError) as error:
        logger.warning("history is not trimmed for now: %s", error)
        return
    if gone.bars or gone.points:
        logger.info("history is trimmed: %d bars and %d points of equity", gone.bars, gone.points)


@shared_task(name="feeds.share_keys", ignore_result=True)
def share_keys() -> None:
    """Keep the keys up to date that other programs read, as often as the settings say."""
    try:
        shared_keys.sharing().share()
    except StateUnavailable as error:
        logger.warning("the keys for other programs are not kept up for now: %s", error)
