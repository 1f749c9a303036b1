"""The column of a number that may be missing: of audit.fields, with the type that mypy wants to know it by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit.fields import ExactDecimalField

if TYPE_CHECKING:
    from decimal import Decimal

    from django.db import models

    class OptionalDecimalField(models.Field[Decimal | str | None, Decimal | None]):
        """An ExactDecimalField that may be empty."""

else:
    OptionalDecimalField = ExactDecimalField

__all__ = ["OptionalDecimalField"]
