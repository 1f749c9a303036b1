"""Capital profiles, and the accounts that have one."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from policies.fields import BoundedDecimalField, NameListField
from policies.models.base import Managed, history
from policies.validation import Between, validate_id

MULTIPLE = Between("0", "1000", open_below=True)
FRACTION = Between("0", "1", open_below=True)
MOST_POSITIONS = 100_000
LONGEST_TTL_S = 30 * 24 * 60 * 60


class CapitalProfile(Managed):
    """What an account of this kind may risk. Losses and risk are fractions of equity, leverage is a multiple."""

    CHANGEABLE = (
        *("allowed_leverage", "max_single_trade_risk", "max_daily_loss", "max_weekly_loss"),
        *("max_open_positions", "strategies"),
    )

    name = models.CharField(max_length=64, primary_key=True, validators=[validate_id])
    allowed_leverage = BoundedDecimalField(
        max_digits=20, decimal_places=8, bounds=MULTIPLE, help_text="Gross exposure as a multiple of equity."
    )
    max_single_trade_risk = BoundedDecimalField(
        max_digits=20,
        decimal_places=8,
        bounds=MULTIPLE,
        help_text="Notional of one order as a fraction of equity: 0.01 is 1 %.",
    )
    max_daily_loss = BoundedDecimalField(
        max_digits=20,
        decimal_places=8,
        bounds=FRACTION,
        help_text="Fraction of the equity at the day's start: 0.02 is 2 %.",
    )
    max_weekly_loss = BoundedDecimalField(
        max_digits=20,
        decimal_places=8,
        bounds=FRACTION,
        help_text="Fraction of the equity at the week's start: 0.07 is 7 %.",
    )
    max_open_positions = models.PositiveIntegerField(validators=[MaxValueValidator(MOST_POSITIONS)])
    strategies = NameListField(
        verbose_name="strategies allowed", help_text="Separated by commas; empty allows every strategy."
    )

    history = history()

    class Meta(Managed.Meta):
        ordering = ("allowed_leverage", "name")
        constraints = [
            MULTIPLE.constraint("allowed_leverage", "profile_leverage_range"),
            MULTIPLE.constraint("max_single_trade_risk", "profile_trade_risk_range"),
            FRACTION.constraint("max_daily_loss", "profile_daily_loss_range"),
            FRACTION.constraint("max_weekly_loss", "profile_weekly_loss_range"),
            models.CheckConstraint(condition=Q(max_open_positions__lte=MOST_POSITIONS), name="profile_positions_range"),
        ]

    def __str__(self) -> str:
        return self.name


class Account(Managed):
    """A trading account that may send orders, under the bounds of its profile."""

    CHANGEABLE = ("name", "profile", "exchange", "enabled", "reservation_ttl_s")

    id = models.CharField(max_length=64, primary_key=True, validators=[validate_id])
    name = models.CharField(max_length=120, blank=True)
    profile = models.ForeignKey(CapitalProfile, on_delete=models.PROTECT, related_name="accounts")
    exchange = models.CharField(
        max_length=64,
        blank=True,
        validators=[validate_id],
        help_text="Where its orders and positions are that name no exchange.",
    )
    enabled = models.BooleanField(default=True, help_text="Orders of an account that is not are blocked.")
    reservation_ttl_s = models.PositiveIntegerField(
        verbose_name="life of reservations (s)",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_TTL_S)],
        help_text="Seconds; empty for the default.",
    )

    history = history()

    class Meta(Managed.Meta):
        ordering = ("id",)
        constraints = [
            models.CheckConstraint(
                condition=Q(reservation_ttl_s__isnull=True)
                | Q(reservation_ttl_s__gte=1, reservation_ttl_s__lte=LONGEST_TTL_S),
                name="account_ttl_range",
            ),
        ]

    def clean(self) -> None:
        """Write the exchange as orders have it, in upper case: stops and limits go by its name."""
        self.exchange = self.exchange.upper()

    def __str__(self) -> str:
        return f"{self.id} ({self.name})" if self.name else self.id
