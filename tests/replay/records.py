"""What riskportal kept of the replay: decisions with their inputs, releases and books, read from the database."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import psycopg

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Kept:
    """One decision: `inputs` is what it was taken on, `answer` what was said; numbers in them are text."""

    decision_id: str
    account_id: str
    order_id: str
    at_us: int
    account_version: int
    approved: bool
    reason: str
    inputs: dict[str, Any]
    answer: dict[str, Any]

    def but(self, *, approved: bool) -> Kept:
        """Return the same with another outcome, for a test of whoever judges it."""
        return replace(self, approved=approved, reason="" if approved else self.reason)


@dataclass(frozen=True)
class Records:
    """All that was kept. `ended_us` by decision_id: when a reservation was ended before its time."""

    decisions: list[Kept]
    ended_us: dict[str, int]
    books: dict[int, dict[str, Any]]
    rejects: int


def read(database_url: str) -> Records:
    """Read everything, decisions in the order in which each account's were committed."""
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT decision_id::text, account_id, order_id, account_version, approved, reason, inputs, answer "
            "FROM audit_orderdecision ORDER BY account_id, account_version"
        ).fetchall()
        ends = connection.execute("SELECT decision_id::text, ended_at FROM audit_reservationend").fetchall()
        books = connection.execute("SELECT version, content FROM policies_book").fetchall()
        rejects = connection.execute("SELECT count(*) FROM audit_journalreject").fetchall()
    return Records(
        decisions=[_kept(*row) for row in found],
        ended_us={decision_id: _microseconds(at) for decision_id, at in ends},
        books={version: _parsed(content) for version, content in books},
        rejects=rejects[0][0],
    )


def _kept(
    decision_id: str,
    account_id: str,
    order_id: str,
    version: int,
    approved: bool,
    reason: str,
    inputs: str,
    answer: str,
) -> Kept:
    parsed = _parsed(inputs)
    return Kept(
        decision_id=decision_id,
        account_id=account_id,
        order_id=order_id,
        at_us=parsed["now_us"],
        account_version=version,
        approved=approved,
        reason=reason,
        inputs=parsed,
        answer=_parsed(answer),
    )


def _parsed(text: str) -> dict[str, Any]:
    """Return a JSON object whose fractional numbers are exact, too."""
    parsed: dict[str, Any] = json.loads(text, parse_float=Fraction)
    return parsed


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)
