"""All accounts valued at the prices of one moment, and the firm that they add up to."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from decimal import localcontext

from feeds.books import CompiledBooks, in_force
from riskcore.case import age_of
from riskcore.compiled import CompiledBook
from riskcore.decimals import EXACT
from riskcore.firm_sums import Adder, FirmPart, Summand
from riskcore.held import Feed, Held, Valued, marks_of, read_held, value
from riskcore.metrics import Subject
from riskcore.part import AccountPart
from riskcore.types import Price
from state.changes import AccountRecord
from state.store import EXPIRED_LIMIT, Store

logger = logging.getLogger(__name__)


class Valuation:
    """Values one account after the other, and adds up those that the book has.

    Figures are those that GET /risk/portfolio shows, of an account and of the firm.

    Parameters
    ----------
    book
        The book in force.
    prices
        All that are known, however old.
    now_us
        The moment, in microseconds.
    """

    def __init__(self, book: CompiledBook, prices: Mapping[str, Price], now_us: int) -> None:
        self._book, self._now_us = book, now_us
        self._feed = Feed(prices, now_us, book.parameters)
        self._adder = Adder()
        self._newest_us = 0

    def of(self, store: Store, record: AccountRecord) -> Subject | None:
        """Return an account with value at risk, and add it to the firm.

        None where it cannot be valued, and where its state is too old for a check: it was another account when
        that was reported than it is at these prices. The firm has it all the same, as it was last known.
        Raises StateUnavailable.
        """
        with localcontext(EXACT):
            try:
                valued = self._valued(store, record)
            except (ValueError, ArithmeticError) as error:
                logger.warning("account %s is not valued for now: %s", record.account_id, error)
                return None
            if valued is None:
                return None
            if record.account_id in self._book.accounts:
                self._add(valued)
            parameters = self._book.parameters
            if age_of(valued.held.state, self._now_us, parameters) > parameters.state_max_age_us:
                return None
            return AccountPart(valued, self._book, self._now_us, tail=True).whole

    def firm(self) -> tuple[int, Subject] | None:
        """Return the firm with value at risk, and when the newest report came that is in it (microseconds).

        None where no report is.
        """
        with localcontext(EXACT):
            sums = self._adder.sums()
            if sums is None or not self._newest_us:
                return None
            return self._newest_us, FirmPart(sums, self._book, self._now_us, tail=True).whole

    def _valued(self, store: Store, record: AccountRecord) -> Valued | None:
        held = None if record.state is None else _held(store, record, self._now_us)
        marks = None if held is None else marks_of(held, self._feed)
        return None if held is None or marks is None else value(held, marks)

    def _add(self, valued: Valued) -> None:
        state, symbols = valued.held.state, valued.held.symbols
        self._adder.add(Summand(state, valued.exposure, symbols, valued.worst, valued.highs, valued.lows))
        if state.day_end_us:  # what only positions or fills have made was never reported
            self._newest_us = max(self._newest_us, state.received_at_us)


def valuation(store: Store, books: CompiledBooks, now_us: int) -> Valuation | None:
    """Return a valuation at the prices of now, None while the live state is not restored. Raises StateUnavailable."""
    control = store.control()
    if control is None:
        return None
    return Valuation(in_force(control.book_version, store, books), store.all_prices(), now_us)


def _held(store: Store, record: AccountRecord, now_us: int) -> Held | None:
    """Return what an account holds. Raises ValueError where that cannot be read."""
    assert record.state is not None
    expired = record.expired
    if len(expired) >= EXPIRED_LIMIT:  # a record has some only where they are many
        expired = tuple(one for one in store.reservations(record.account_id) if one.expires_at_us <= now_us)
    return read_held(record.state, record.ledger, expired)
