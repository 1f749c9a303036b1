"""What a report says of itself, in words, for every format that people read."""

from __future__ import annotations

from datetime import UTC, datetime

from reports.exporters.form import Head


def facts(head: Head) -> list[tuple[str, str]]:
    """Return label and value of each: what was asked for, by whom, as of when, and where the evidence ended then."""
    return [
        *(head.filters or (("Filters", "none"),)),
        ("Rows", f"{head.rows:,}"),
        ("Policy book", _books(head.books)),
        ("Asked by", head.asked_by),
        ("As of", shown_moment(head.made_at)),
        ("Report", head.report_id),
        ("Audit events", f"{head.events:,}; the last has the hash {head.events_hash}"),
        ("Sealed batches", f"{head.batches:,}; the last has the hash {head.batches_hash}"),
    ]


def shown_moment(at: datetime) -> str:
    """Return a moment for people: 2026-01-31 14:03:07.123 UTC."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(' ', 'milliseconds')} UTC"


def _books(books: tuple[int, int] | None) -> str:
    match books:
        case None:
            return "none"
        case (first, last) if first == last:
            return f"version {first}"
        case (first, last):
            return f"versions {first} to {last}"
