"""What is known of every account from one look to the next: read and worked out again is only what has changed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal, localcontext

from msgspec import Struct

from riskcore.compiled import CompiledBook
from riskcore.decimals import EXACT
from riskcore.firm import FIRM
from riskcore.firm_sums import FirmPart, FirmSums, sum_up
from riskcore.glance import Glance, glance, unknown
from riskcore.held import Feed, Held, Valued, marks_of, read_held, value
from riskcore.limit_set import LimitSet, LimitSets
from riskcore.part import AccountPart
from riskcore.ports import Load
from riskcore.types import Reservation
from state.changes import UNKNOWN, AccountRecord
from state.store import EXPIRED_LIMIT, Store

logger = logging.getLogger(__name__)


class Seen(Struct, frozen=True):
    """The accounts that have a state, as of `now_us`, and the sums over those of them that can be valued."""

    now_us: int
    accounts: tuple[Glance, ...]
    sums: FirmSums | None


class _Known:
    """One account: what it holds, and how it stood when it was last looked at.

    `marks` None: it is to be worked out again. `valued` None: it cannot be valued.
    """

    __slots__ = ("edition", "glance", "held", "limits", "marks", "valued")

    def __init__(self) -> None:
        self.edition = UNKNOWN
        self.limits: LimitSet | None = None
        self.held: Held | None = None
        self.marks: Sequence[Decimal] | None = None
        self.valued: Valued | None = None
        self.glance: Glance | None = None


class Accounts:
    """The accounts of a store. Not for several threads at once.

    Parameters
    ----------
    store
        The live state.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, _Known] = {}
        self._generation = ""
        self._under: tuple[CompiledBook, bool] | None = None
        self._limits: LimitSets | None = None

    def look(self, book: CompiledBook) -> Seen:
        """Return the accounts of the book as they stand. Raises StateUnavailable.

        One whose record changes just now, or cannot be worked with, is left out.
        """
        with localcontext(EXACT):
            self._read(book.accounts)
            feed = Feed(self._store.all_prices(), self._store.load(Load(accounts=())).now_us, book.parameters)
            limits = self._limits_under(book, feed.now_us)
            found = list(self._glances(book, limits, feed))
            valued = [one.valued for one in self._known.values() if one.valued is not None]
            return Seen(feed.now_us, tuple(found), sum_up(valued, tail=bool(limits.of_firm.of_tail)))

    def firm(self, sums: FirmSums | None, book: CompiledBook, now_us: int) -> Glance:
        """Return the firm of which these are the sums, with the limits of the book that was looked under last."""
        assert self._limits is not None  # there was a look
        limits = self._limits.of_firm
        if sums is None:
            return unknown(FIRM)
        with localcontext(EXACT):
            return glance(FIRM, FirmPart(sums, book, now_us, tail=bool(limits.of_tail)), limits, book.parameters)

    # ----------------------------------------------------------------------------------------------- reading
    def _read(self, account_ids: Iterable[str]) -> None:
        """Read the accounts that are not as they are known."""
        known = self._known = {each: self._known.get(each) or _Known() for each in account_ids}
        of, self._generation = self._generation, ""
        generations, crowded = set(), []
        for part in self._store.changed(of, {account_id: one.edition for account_id, one in known.items()}):
            generations.add(part.generation)
            for record in part.records:
                if len(record.expired) < EXPIRED_LIMIT:
                    self._take(record, record.expired)
                else:
                    crowded.append((record, part.now_us))
        for record, now_us in crowded:
            held = self._store.reservations(record.account_id)
            self._take(record, tuple(one for one in held if one.expires_at_us <= now_us))
        if len(generations) == 1:  # otherwise the store was restored meanwhile
            self._generation = generations.pop()

    def _take(self, record: AccountRecord, expired: Sequence[Reservation]) -> None:
        one = self._known[record.account_id]
        one.held = one.marks = one.valued = one.glance = None
        one.edition = UNKNOWN
        try:
            one.held = None if record.state is None else read_held(record.state, record.ledger, expired)
            one.edition = record.edition
        except (ValueError, ArithmeticError) as error:
            _leave_out(record.account_id, error)

    # ------------------------------------------------------------------------------------------- working out
    def _limits_under(self, book: CompiledBook, now_us: int) -> LimitSets:
        """Return the limits of a book; where they are others than at the last look, everything is worked out again."""
        under = book, book.has_old_returns(now_us)
        if self._limits is None or under != self._under:
            self._under, self._limits = under, LimitSets(book)
            for one in self._known.values():
                one.limits = one.marks = None
        return self._limits

    def _glances(self, book: CompiledBook, limits: LimitSets, feed: Feed) -> Iterator[Glance]:
        for account_id, one in self._known.items():
            if one.held is None:
                continue
            if one.limits is None:
                one.limits = limits.of(book.accounts[account_id])
            try:
                yield _glance(account_id, one, book, feed)
            except (ValueError, ArithmeticError) as error:
                one.marks = one.valued = None
                _leave_out(account_id, error)


def _glance(account_id: str, one: _Known, book: CompiledBook, feed: Feed) -> Glance:
    """Return an account as it stands: as it stood if no price of it has changed."""
    assert one.held is not None and one.limits is not None  # it has been read
    marks = marks_of(one.held, feed)
    if marks is None:
        one.marks = one.valued = None
        return unknown(account_id)
    if one.glance is None or marks != one.marks:
        one.valued = value(one.held, marks)
        part = AccountPart(one.valued, book, feed.now_us, tail=bool(one.limits.of_tail))
        one.glance = glance(account_id, part, one.limits, book.parameters)
        one.marks = marks
    return one.glance


def _leave_out(account_id: str, error: Exception) -> None:
    logger.warning("account %s is left out for now: %s", account_id, error)
