"""What the columns of this package accept: ranges that refuse NaN and infinities, names, lists of names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from enum import Enum
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import connection, models
from django.db.models import Q
from django.utils.deconstruct import deconstructible

from riskcore.decimals import tidy

# SQLite keeps a decimal as a double, which is exact up to this many digits.
_SQLITE_DIGITS = 15

# Names travel in URLs, Redis keys and file names.
validate_id = RegexValidator(
    r"^[A-Za-z0-9][A-Za-z0-9._:@+-]*\Z",
    "Start with a letter or digit; go on with letters, digits and . _ : @ + - only.",
)


@deconstructible
class Between:
    """Accepts decimals from `low` (or above it, if `open_below`) to `high`, both decimal text."""

    def __init__(self, low: str, high: str, *, open_below: bool = False) -> None:
        self.low, self.high, self.open_below = Decimal(low), Decimal(high), open_below

    def __call__(self, value: Decimal) -> None:
        inside = value.is_finite() and self.low <= value <= self.high
        if not inside or (self.open_below and value == self.low):
            raise ValidationError(f"{value} is not {self}.", code="range")

    def __str__(self) -> str:
        low, high = f"{tidy(self.low):,f}", f"{tidy(self.high):,f}"
        return f"above {low} and at most {high}" if self.open_below else f"from {low} to {high}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Between) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.low, self.high, self.open_below))

    def constraint(self, field: str, name: str) -> models.CheckConstraint:
        """Return the same as a constraint of the database.

        `field > low` alone would let NaN in: PostgreSQL sorts it above every number, and SQLite sorts text
        there. The upper bound refuses both.
        """
        bound = "gt" if self.open_below else "gte"
        return models.CheckConstraint(
            condition=Q(**{f"{field}__{bound}": self.low, f"{field}__lte": self.high}),
            name=name,
            violation_error_message=f"{field} must be {self}.",
        )


def one_of(field: str, values: type[Enum], name: str, *, blank: bool = False) -> models.CheckConstraint:
    """Return a constraint by which `field` holds a value of the enumeration, or nothing if `blank`."""
    allowed = [member.value for member in values] + ([""] if blank else [])
    return models.CheckConstraint(condition=Q(**{f"{field}__in": allowed}), name=name)


def kept_exactly(value: Decimal) -> None:
    """Refuse a decimal that this database would round."""
    if connection.vendor == "sqlite" and len(tidy(value).as_tuple().digits) > _SQLITE_DIGITS:
        raise ValidationError(
            f"{value} has more than {_SQLITE_DIGITS} digits, which SQLite would round; PostgreSQL keeps it.",
            code="digits",
        )


def name_list(value: Any, *, longest: int = 64) -> list[str]:
    """Return a list of names sorted, without blanks around them and without repetitions.

    Raises ValidationError where it is not a list of text, or a name is blank or longer than `longest`.
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValidationError("Expected a list of names.", code="list")
    names = set()
    for each in value:
        if not isinstance(each, str) or not each.strip() or len(each) > longest or re.search(r"[\x00-\x1f]", each):
            raise ValidationError(f"{each!r} is not a name of 1 to {longest} characters.", code="list")
        names.add(each.strip())
    return sorted(names)
