"""A report to be written in every format, and how it is written."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from audit.manifest import Manifest
from reports.exporters import EXPORTERS
from reports.exporters.form import Head
from reports.manifest import Measured, manifest_of
from reports.table import Column, Kind, Row, Summary

AT = datetime(2026, 1, 31, 14, 3, 7, 123456, tzinfo=UTC)

COLUMNS = (
    Column(name="at", label="Moment", kind=Kind.MOMENT, width=20),
    Column(name="account", label="Account"),
    Column(name="quantity", label="Quantity", kind=Kind.NUMBER),
    Column(name="approved", label="Approved", kind=Kind.FLAG, width=9),
    Column(name="message", label="Message", width=40),
)

ROWS: tuple[Row, ...] = (
    (AT, "desk-1", Decimal("0.500000000000"), True, "fine"),
    (AT, "desk-2", Decimal("-1234567.89"), False, "insufficient margin: need 500000.00, available 90000.00"),
    (None, "", None, None, ""),
)


def head_of(rows: Iterable[Row] = ROWS, columns: tuple[Column, ...] = COLUMNS, **changed: object) -> Head:
    """Return what a report of these rows says of itself."""
    said: dict[str, object] = {
        "report_id": "0198c0de-0000-7000-8000-000000000001",
        "name": "decisions",
        "title": "Decisions",
        "meaning": "What was answered to each order.",
        "filters": (("Account", "desk-1"), ("Since", "2026-01-31 00:00:00 UTC")),
        "asked_by": "auditor",
        "made_at": AT,
        "columns": columns,
        "rows": len(list(rows)),
        "books": (3, 9),
        "events": 41,
        "events_hash": "a" * 64,
        "batches": 7,
        "batches_hash": "b" * 64,
    }
    return Head(**(said | changed))  # type: ignore[arg-type]


def written(
    suffix: str,
    rows: Iterable[Row] = ROWS,
    columns: tuple[Column, ...] = COLUMNS,
    summary: Summary | None = None,
    **changed: object,
) -> tuple[bytes, Manifest]:
    """Return a report in a format, and its manifest."""
    rows = list(rows)
    head, out = head_of(rows, columns, **changed), io.BytesIO()
    measured = Measured(out)
    count = EXPORTERS[suffix].write(measured, head, iter(rows), summary or Summary())
    return out.getvalue(), manifest_of(head, suffix, count, measured)


def of_texts(*texts: str | None) -> tuple[list[Row], tuple[Column, ...]]:
    """Return rows of one text each, beside a column of numbers, and their columns."""
    columns = (Column(name="text", label="Text"), Column(name="number", label="Number", kind=Kind.NUMBER))
    return [(text, -1) for text in texts], columns
