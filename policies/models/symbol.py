"""Restricted symbols, and the trading rules of instruments."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from policies.fields import BoundedDecimalField, NameListField
from policies.models.base import Managed, history
from policies.models.profile import Account
from policies.validation import Between, one_of
from riskcore.types import OrderType, Side

AMOUNT = Between("0", "99999999999999999999.999999999999")
RATE = Between("0", "1")

validate_symbol = RegexValidator(
    r"^[^\s\x00-\x1f{}|]{1,32}\Z", "A symbol has 1 to 32 characters, no blanks, and none of { } |."
)

_SMALLER_THAN_SMALLEST = "The largest quantity is smaller than the smallest."

if TYPE_CHECKING:
    _Text = models.CharField[str, str]
else:
    _Text = models.CharField


class SymbolField(_Text):
    """A symbol, which is always upper-case."""

    def to_python(self, value: Any) -> Any:
        return value.strip().upper() if isinstance(value, str) else super().to_python(value)


class RestrictedSymbol(Managed):
    """A symbol that may not be traded: by anyone or one account, on both sides or one, for ever or until a moment."""

    CHANGEABLE = ("active",)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    symbol = SymbolField(max_length=32, validators=[validate_symbol])
    side = models.CharField(
        max_length=4,
        blank=True,
        choices=[(side.value, side.value) for side in Side],
        help_text="Empty restricts both sides.",
    )
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, null=True, blank=True, help_text="Empty restricts every account."
    )
    close_only = models.BooleanField(default=False, help_text="Orders that strictly reduce a position still pass.")
    until = models.DateTimeField(null=True, blank=True, help_text="UTC; empty restricts until it is lifted.")
    reason = models.TextField(help_text="Why the symbol is restricted; traders see it.")
    active = models.BooleanField(default=True, help_text="Switch this off to lift the restriction.")

    history = history()

    class Meta(Managed.Meta):
        ordering = ("-active", "symbol", "id")
        indexes = [models.Index(fields=("symbol", "active"), name="restricted_symbol_active")]
        constraints = [
            one_of("side", Side, "restricted_side_known", blank=True),
            models.CheckConstraint(condition=~Q(symbol=""), name="restricted_symbol_given"),
        ]

    def clean(self) -> None:
        """Check that a new restriction is not over already. Raises ValidationError by field."""
        if self._state.adding and self.until is not None and self.until <= timezone.now():
            raise ValidationError({"until": "This moment has passed: the restriction would have no effect."})

    def __str__(self) -> str:
        what = f"{self.side} of {self.symbol}" if self.side else self.symbol
        return f"{what} for {self.account_id}" if self.account_id else what


class Instrument(Managed):
    """The trading rules of a symbol; 0 means that a rule is not known and not checked."""

    CHANGEABLE = (
        *("tick_size", "lot_size", "min_quantity", "max_quantity"),
        *("average_daily_volume", "margin_rate", "order_types"),
    )

    symbol = SymbolField(max_length=32, primary_key=True, validators=[validate_symbol])
    tick_size = BoundedDecimalField(
        max_digits=32, decimal_places=12, bounds=AMOUNT, default=0, help_text="Prices are multiples of it."
    )
    lot_size = BoundedDecimalField(
        max_digits=32, decimal_places=12, bounds=AMOUNT, default=0, help_text="Quantities are multiples of it."
    )
    min_quantity = BoundedDecimalField(max_digits=32, decimal_places=12, bounds=AMOUNT, default=0)
    max_quantity = BoundedDecimalField(max_digits=32, decimal_places=12, bounds=AMOUNT, default=0)
    average_daily_volume = BoundedDecimalField(
        max_digits=32,
        decimal_places=12,
        bounds=AMOUNT,
        default=0,
        help_text="The quantity that trades on a usual day; while it is 0, limits on an order's share of it block.",
    )
    margin_rate = BoundedDecimalField(
        max_digits=20,
        decimal_places=8,
        bounds=RATE,
        default=0,
        help_text="Initial margin as a fraction of notional: 0.1 is 10 %; 0 takes the default.",
    )
    order_types = NameListField(
        help_text=f"Those allowed, separated by commas, of {', '.join(OrderType)}; empty allows all."
    )

    history = history()

    class Meta(Managed.Meta):
        ordering = ("symbol",)
        constraints = [
            models.CheckConstraint(condition=~Q(symbol=""), name="instrument_symbol_given"),
            AMOUNT.constraint("tick_size", "instrument_tick_range"),
            AMOUNT.constraint("lot_size", "instrument_lot_range"),
            AMOUNT.constraint("min_quantity", "instrument_min_range"),
            AMOUNT.constraint("max_quantity", "instrument_max_range"),
            AMOUNT.constraint("average_daily_volume", "instrument_volume_range"),
            RATE.constraint("margin_rate", "instrument_margin_range"),
            models.CheckConstraint(
                condition=Q(max_quantity=0) | Q(max_quantity__gte=F("min_quantity")),
                name="instrument_quantity_order",
                violation_error_message=_SMALLER_THAN_SMALLEST,
            ),
        ]

    def __str__(self) -> str:
        return self.symbol

    def clean(self) -> None:
        """Check the order types and the bounds of a quantity. Raises ValidationError by field."""
        self.order_types = [each.upper() for each in self.order_types]
        unknown = sorted(set(self.order_types) - set(OrderType))
        if unknown:
            raise ValidationError(
                {"order_types": f"There is no order type {', '.join(unknown)}; there are {', '.join(OrderType)}."}
            )
        if self.max_quantity and self.max_quantity < self.min_quantity:
            raise ValidationError({"max_quantity": _SMALLER_THAN_SMALLEST})
