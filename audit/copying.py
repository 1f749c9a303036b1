"""Adds many rows at once, in the way that is fastest where the database has one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection, models


def add_rows(rows: Sequence[models.Model]) -> None:
    """Add rows of one model, none of which is there yet. Raises IntegrityError where one is, and adds none then."""
    if not rows:
        return
    model: type[Any] = type(rows[0])
    if connection.vendor != "postgresql":
        model.objects.bulk_create(rows)
        return
    fields = [each for each in model._meta.concrete_fields if each is not model._meta.auto_field]
    quote = connection.ops.quote_name
    columns = ", ".join(quote(str(each.column)) for each in fields)
    statement = f"COPY {quote(model._meta.db_table)} ({columns}) FROM STDIN"
    # COPY is ten times as fast as INSERT; Django's cursor hands it on, but not its errors.
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row([getattr(row, each.attname) for each in fields])
