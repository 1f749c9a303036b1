"""What a new installation starts with (SPEC 5): the first policies and the capital profiles."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from audit.services import Happened, record_all, snapshot
from policies.book import add_book, as_evidence, latest, lock_books, publish
from policies.models import Book, CapitalProfile, Managed, Policy

ACTOR = "bootstrap"
REASON = "Defaults of a new installation"
OWNER = "risk"

# name: leverage, and percentages of single trade risk, daily loss and weekly loss; open positions
_PROFILES = {
    "micro": ("1", "0.2", "0.5", "2", 3),
    "low": ("2", "0.5", "1", "3", 5),
    "normal": ("3", "1", "2", "7", 10),
    "aggressive": ("5", "2", "5", "15", 20),
}


def default_policies() -> list[Policy]:
    """Return the first policies, unsaved; leverage and drawdowns as the settings say."""
    return [
        _limit("Max Account Leverage", "hard", "leverage", "<=", settings.RISK_MAX_LEVERAGE),
        _limit("Min Margin Ratio", "hard", "margin_ratio", ">=", "1"),
        _limit("Daily Drawdown Warning", "soft", "drawdown_daily", "<=", "0.10"),
        _limit("Max Drawdown", "hard", "drawdown_max", "<=", settings.RISK_MAX_DRAWDOWN),
        _limit("Emergency Drawdown Stop", "emergency", "drawdown_max", "<=", settings.RISK_EMERGENCY_THRESHOLD),
        _limit("Max Gross Exposure", "hard", "gross_exposure", "<=", "1000000"),
        _limit("Max Open Positions", "hard", "open_positions", "<=", "100"),
        _limit("Order Price Collar", "hard", "price_deviation", "<=", "0.05"),
        _limit("Portfolio Loss Breaker", "emergency", "daily_loss", "<=", "0.10"),
        _limit("Position Loss Breaker", "emergency", "position_loss", "<=", "0.30"),
        _limit("Rapid Drawdown Breaker", "emergency", "drawdown_rapid", "<=", "0.05"),
        _limit("Max BTCUSDT Position", "hard", "position_value", "<=", "500000", symbol="BTCUSDT"),
        _limit("Max ETHUSDT Position", "hard", "position_value", "<=", "300000", symbol="ETHUSDT"),
    ]


def default_profiles() -> list[CapitalProfile]:
    """Return the capital profiles, unsaved."""
    return [
        CapitalProfile(
            name=name,
            allowed_leverage=Decimal(leverage),
            max_single_trade_risk=Decimal(trade) / 100,
            max_daily_loss=Decimal(daily) / 100,
            max_weekly_loss=Decimal(weekly) / 100,
            max_open_positions=positions,
        )
        for name, (leverage, trade, daily, weekly, positions) in _PROFILES.items()
    ]


def ensure_defaults() -> Book | None:
    """Make the defaults and the first book of them, and publish it; None where there is a book already."""
    with transaction.atomic():
        lock_books()
        if latest() is not None:
            return None
        at = timezone.now()
        rows: list[Managed] = [*default_profiles(), *default_policies()]
        for row in rows:
            row.full_clean(validate_constraints=False)  # the database holds them, and these are our own values
            row._history_user, row._change_reason, row._history_date = ACTOR, REASON, at
            row.save()
        book = add_book(actor=ACTOR, reason=REASON, at=at)
        record_all(
            Happened(
                actor=ACTOR,
                action=f"{_WORDS[type(row)]}.create",
                object_type=str(row._meta.model_name),
                object_id=row.pk,
                object_label=str(row),
                reason=REASON,
                after={**snapshot(row), "book": as_evidence(book)},
                at=at,
            )
            for row in rows
        )
        transaction.on_commit(lambda: publish(book))
    return book


_WORDS: dict[type[Managed], str] = {CapitalProfile: "profile", Policy: "policy"}


def _limit(name: str, kind: str, metric: str, operator: str, threshold: Any, *, symbol: str = "") -> Policy:
    return Policy(
        name=name,
        type=kind,
        metric=metric,
        operator=operator,
        threshold=Decimal(threshold),
        scope="symbol" if symbol else "global",
        scope_ids=[symbol] if symbol else [],
        owner=OWNER,
    )
