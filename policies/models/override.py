"""Overrides: what an account is let do in spite of its limits, once or within a budget."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from policies.fields import BoundedDecimalField
from policies.models.base import Managed, history
from policies.models.profile import Account
from policies.models.symbol import AMOUNT, SymbolField, validate_symbol
from policies.validation import one_of
from riskcore.types import Side

MOST_ORDERS = 10_000
LONGEST = timedelta(days=31)

_ENDS_FIRST = "It would end before it begins."


class Override(Managed):
    """What an account is let do in spite of its limits, until it is used up or its time is over.

    It is made once and taken back once. How much of it is used is in the account's ledger, in the live state.
    """

    CHANGEABLE = ("active",)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT)
    symbol = SymbolField(max_length=32, blank=True, validators=[validate_symbol], help_text="Empty: every symbol.")
    side = models.CharField(
        max_length=4, blank=True, choices=[(side.value, side.value) for side in Side], help_text="Empty: both sides."
    )
    max_orders = models.PositiveIntegerField(
        verbose_name="orders",
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_ORDERS)],
        help_text="So many orders it lets through.",
    )
    max_quantity = BoundedDecimalField(
        verbose_name="quantity",
        max_digits=32,
        decimal_places=12,
        bounds=AMOUNT,
        default=0,
        help_text="Of all these orders together; 0: no bound.",
    )
    max_notional = BoundedDecimalField(
        verbose_name="notional",
        max_digits=32,
        decimal_places=12,
        bounds=AMOUNT,
        default=0,
        help_text="Of all these orders together, in currency; 0: no bound.",
    )
    valid_from = models.DateTimeField(
        verbose_name="from", null=True, blank=True, help_text="UTC; empty: as soon as it is published."
    )
    until = models.DateTimeField(help_text="UTC; a month ahead at most.")
    liquidation = models.BooleanField(
        default=False, help_text="It also lets orders through a stop that strictly reduce a position."
    )
    reason = models.TextField(help_text="Why; it is in every decision that goes by it.")
    active = models.BooleanField(default=True, help_text="Switch this off to take it back.")

    history = history()

    class Meta(Managed.Meta):
        ordering = ("-active", "-until", "id")
        indexes = [models.Index(fields=("active", "until"), name="override_active_until")]
        constraints = [
            one_of("side", Side, "override_side_known", blank=True),
            models.CheckConstraint(
                condition=Q(max_orders__gte=1, max_orders__lte=MOST_ORDERS), name="override_orders_range"
            ),
            AMOUNT.constraint("max_quantity", "override_quantity_range"),
            AMOUNT.constraint("max_notional", "override_notional_range"),
            models.CheckConstraint(
                condition=Q(valid_from=None) | Q(valid_from__lt=F("until")),
                name="override_time_order",
                violation_error_message=_ENDS_FIRST,
            ),
        ]

    def __str__(self) -> str:
        return f"Override for {self.account_id}"

    def clean(self) -> None:
        """Check its time when it is made, and that what was taken back stays so. Raises ValidationError by field."""
        if not self._state.adding:
            if self.active and not type(self)._default_manager.get(pk=self.pk).active:
                raise ValidationError({"active": "This was taken back: ask for another one."})
            return
        if self.until is None:
            return  # the field itself is refused
        now = timezone.now()
        if not now < self.until <= now + LONGEST:
            raise ValidationError({"until": f"Choose a moment within the next {LONGEST.days} days."})
        if self.valid_from is not None and self.valid_from >= self.until:
            raise ValidationError({"until": _ENDS_FIRST})
