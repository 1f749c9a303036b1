"""Books that differ in something, and decisions that were recorded under one of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from riskcore.book import Account, Book, Operator, Policy, PolicyType
from riskcore.compiled import CompiledBook
from riskcore.decide import decide, encode_decision
from riskcore.journal import Inputs
from tests.audit.subjects import BOOK, inputs


def policy(metric: str, threshold: object, **fields: Any) -> Policy:
    """Return a hard cap on a metric, which is its name and id unless others are given."""
    wanted = {"id": metric, "name": metric, "type": PolicyType.HARD, "operator": Operator.AT_MOST}
    return Policy(**{**wanted, "metric": metric, "threshold": Decimal(str(threshold)), **fields})


def book(*policies: Policy, **parts: Any) -> Book:
    """Return the book of desk-1 and desk-2, with these limits."""
    accounts = (Account(id="desk-1", profile="wide"), Account(id="desk-2", profile="wide"))
    return replace(BOOK, **{"accounts": accounts, "policies": policies, **parts})


def no_book(version: int) -> Book:
    raise LookupError(f"there is no book {version}")


def recorded(under: Book, given: Inputs | None = None, **order: Any) -> tuple[str, str]:
    """Return the journal's two texts of a decision that was taken under a book."""
    kept = given or inputs(under, **order)
    answer = decide(kept, CompiledBook(under)).decision
    return msgspec.json.encode(kept).decode(), encode_decision(answer).decode()
