"""A database column for numbers that must come back exactly as they came in."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Expression

from riskcore.decimals import tidy

if TYPE_CHECKING:
    _Base = models.Field[Decimal | str, Decimal]
else:
    _Base = models.Field


class ExactDecimalField(_Base):
    """A decimal of the wire: up to 20 digits before the point and 12 after it.

    numeric(32,12) in PostgreSQL. SQLite has no exact decimals (a NUMERIC column keeps 15 digits of a double),
    so there it is text, which neither sorts nor sums as a number.
    """

    INTEGER_DIGITS = 20
    PLACES = 12

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        if connection.vendor == "sqlite":
            return "text"
        return f"numeric({self.INTEGER_DIGITS + self.PLACES},{self.PLACES})"

    def get_internal_type(self) -> str:
        return "ExactDecimalField"

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        if isinstance(value, Decimal) and connection.vendor == "sqlite":
            return f"{value:f}"
        return value

    def from_db_value(self, value: Any, expression: Expression, connection: BaseDatabaseWrapper) -> Decimal | None:
        return self.to_python(value)

    def to_python(self, value: Any) -> Decimal | None:
        return None if value is None else Decimal(value)

    def fits(self, value: Decimal) -> bool:
        """Return whether the column holds `value` without rounding it."""
        if not value.is_finite() or value.adjusted() >= self.INTEGER_DIGITS:
            return False
        exponent = tidy(value).as_tuple().exponent
        return isinstance(exponent, int) and exponent >= -self.PLACES
