"""What the feeds count. Labels are bounded: the feed's name and what became of its message."""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import Counter

from emergency.answers import PROGRESS
from feeds.intake import Intake, Outcome
from feeds.published import CLOSED, FILLS, PNL, POSITIONS


class Kept(StrEnum):
    """What is kept as history."""

    BARS = "bars"
    EQUITY = "equity"


class Lost(StrEnum):
    """Why something is not kept after all: it waited too long, the database refuses it, or it cannot be read."""

    EXPIRED = "expired"
    REFUSED = "refused"
    UNREADABLE = "unreadable"


PRICES = "prices"
_FEEDS = {FILLS: "fills", POSITIONS: "positions", PNL: "pnl", CLOSED: "orders_closed", PROGRESS: "execution_progress"}

_messages = Counter("risk_feed_messages_total", "Messages of a feed, by what became of them.", ["feed", "outcome"])
_missed = Counter("risk_feed_missed_total", "Numbers that were missing between two messages of a feed.", ["feed"])
_by_outcome = {
    (feed, outcome): _messages.labels(feed, outcome) for feed in (PRICES, *_FEEDS.values()) for outcome in Outcome
}
_kept = Counter("risk_history_kept_total", "Rows of history that were written; a bar once each time.", ["kind"])
_lost = Counter("risk_history_lost_total", "Rows of history that could not be written, and why.", ["kind", "reason"])
_kept_of = {kind: _kept.labels(kind) for kind in Kept}
_lost_of = {(kind, reason): _lost.labels(kind, reason) for kind in Kept for reason in Lost}
_missed_of = {feed: _missed.labels(feed) for feed in _FEEDS.values()}


def count(subject: str, intake: Intake) -> None:
    """Count a message of an account feed, by its subject."""
    feed = _FEEDS[subject]
    _by_outcome[feed, intake.outcome].inc()
    if intake.missed:
        _missed_of[feed].inc(intake.missed)


def count_prices(outcome: Outcome, number: int = 1) -> None:
    """Count ticks."""
    _by_outcome[PRICES, outcome].inc(number)


def count_kept(kind: Kept, number: int = 1) -> None:
    """Count rows of history that were written."""
    _kept_of[kind].inc(number)


def count_lost(kind: Kept, reason: Lost, number: int = 1) -> None:
    """Count rows of history that could not be written and never will be."""
    _lost_of[kind, reason].inc(number)
