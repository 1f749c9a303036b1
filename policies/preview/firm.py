"""The firm under two books: a limit of global scope is on all accounts together as well (decision 0015)."""

from __future__ import annotations

from collections.abc import Iterator

from policies.preview.accounts import Pair, Place, by_place
from riskcore.compiled import CompiledBook
from riskcore.firm import is_of_firm
from riskcore.firm_sums import Adder, FirmPart, FirmSums, summand
from riskcore.held import Feed, marks_of, read_held, value
from riskcore.limit_set import limit_set
from riskcore.limits import Limit, evaluate
from riskcore.metrics import Kind
from riskcore.picture import Reading
from riskcore.types import Reservation
from state.changes import AccountRecord


class Firm:
    """Adds accounts up, for the limits that differ and are on the firm.

    Parameters
    ----------
    changes
        The books with the limits that differ.
    """

    def __init__(self, changes: Pair) -> None:
        self._changes, self._adder = changes, Adder()
        limits = (*changes.before.limits, *changes.after.limits)
        self._limits = limit_set(enumerate(filter(is_of_firm, limits)))
        self.is_concerned = any(map(is_of_firm, limits))

    def add(self, record: AccountRecord, expired: tuple[Reservation, ...], feed: Feed) -> None:
        """Add an account; one that cannot be valued is in no sum. Raises ValueError where its record cannot be read."""
        if not self.is_concerned or record.state is None:
            return
        held = read_held(record.state, record.ledger, expired)
        marks = None if held is None else marks_of(held, feed)
        if held is not None and marks is not None:
            self._adder.add(summand(value(held, marks), self._limits))

    def readings(self, now_us: int) -> tuple[dict[Place, Reading], dict[Place, Reading]] | None:
        """Return what the limits find under either book; None where nothing is added up."""
        sums = self._adder.sums()
        if sums is None:
            return None
        pair = self._changes
        books = (pair.before.at(now_us), pair.after.at(now_us))
        before, after = (by_place(self._held_against(book, sums, now_us)) for book in books)
        return before, after

    def _held_against(self, book: CompiledBook, sums: FirmSums, now_us: int) -> Iterator[Reading]:
        part = FirmPart(sums, book, now_us, tail=bool(self._limits.of_tail))
        for limit in filter(is_of_firm, book.limits):
            yield from _readings(limit, part)


def _readings(limit: Limit, part: FirmPart) -> Iterator[Reading]:
    """Hold a limit against the firm; one on a symbol's figure against each symbol."""
    if limit.metric.kind is not Kind.SYMBOL:
        yield Reading(limit, "", "", evaluate(limit, limit.value(part.whole), part.whole))
        return
    for place, symbol in enumerate(part.symbols):
        subject = part.subject(place)
        yield Reading(limit, symbol, "", evaluate(limit, limit.value(subject), subject))
