"""What is known of every account from one look to the next: read and worked out again is only what has changed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from decimal import Decimal, localcontext

from msgspec import Raw, Struct

from audit.garbage import held_back
from monitoring.metrics import LEFT_OUT, STAGES
from monitoring.shards import EVERYTHING, Shard
from monitoring.telling import figures_of
from riskcore.compiled import CompiledBook
from riskcore.decimals import EXACT
from riskcore.firm import FIRM
from riskcore.firm_sums import Adder, FirmPart, FirmSums, Summand, summand
from riskcore.glance import Glance, glance, unknown
from riskcore.held import Feed, Held, marks_of, read_held, value
from riskcore.limit_set import LimitSets
from riskcore.part import AccountPart
from riskcore.ports import Load
from riskcore.types import Reservation
from state.changes import UNKNOWN, AccountRecord
from state.store import EXPIRED_LIMIT, Store

logger = logging.getLogger(__name__)


class Seen(Struct, frozen=True):
    """The accounts that have a state, as of `now_us`, and the sums over those of them that can be valued.

    `figures` is what is to be told of them.
    """

    now_us: int
    accounts: tuple[Glance, ...]
    sums: FirmSums | None
    figures: tuple[Raw, ...] = ()


class _Known:
    """One account: what it holds, and how it stood when it was last looked at.

    `held` None: it has no state, or none that can be worked with. `summand` None: it cannot be valued. `glance` None:
    it is left out, and so are its `figures`. `marks` None: it is to be worked out again, whatever they are.
    """

    __slots__ = ("edition", "figures", "glance", "held", "marks", "summand")

    def __init__(self) -> None:
        self.edition = UNKNOWN
        self.held: Held | None = None
        self.forget()

    def forget(self) -> None:
        """Forget how it stood."""
        self.marks: Sequence[Decimal] | None = None
        self.summand: Summand | None = None
        self.glance: Glance | None = None
        self.figures: Raw | None = None


class _Look:
    """One look at accounts: what all of them are held against, and what they come to."""

    __slots__ = ("adder", "book", "feed", "limits")

    def __init__(self, book: CompiledBook, limits: LimitSets, feed: Feed) -> None:
        self.book, self.limits, self.feed = book, limits, feed
        self.adder = Adder()

    def at(self, account_id: str, one: _Known) -> None:
        """Work out how an account stands, and add it: as it stood if neither its record nor its prices have changed."""
        try:
            self._stand(account_id, one)
            if one.summand is not None:
                self.adder.add(one.summand)
            if one.figures is None and one.glance is not None:
                one.figures = figures_of(one.glance)
        except (ValueError, ArithmeticError) as error:
            one.forget()
            leave_out(account_id, error)

    def _stand(self, account_id: str, one: _Known) -> None:
        marks = None if one.held is None else marks_of(one.held, self.feed)
        if one.held is None:
            one.forget()
        elif marks is None:
            one.forget()
            one.glance = unknown(account_id)
        elif marks != one.marks:
            limits, book = self.limits.of(self.book.accounts[account_id]), self.book
            valued = value(one.held, marks)
            part = AccountPart(valued, book, self.feed.now_us, tail=bool(limits.of_tail))
            one.glance = glance(account_id, part, limits, book.parameters)
            one.summand, one.marks, one.figures = summand(valued, self.limits.of_firm), marks, None


def leave_out(account_id: str, error: Exception) -> None:
    """Say that an account is not looked at for now."""
    LEFT_OUT.inc()
    logger.error("account %s is left out for now, its limits are not watched: %s", account_id, error)


class Accounts:
    """The accounts of a store, or a shard of them. Not for several threads at once.

    Parameters
    ----------
    store
        The live state.
    shard
        Which accounts.
    """

    def __init__(self, store: Store, shard: Shard = EVERYTHING) -> None:
        self._store, self._shard = store, shard
        self._known: dict[str, _Known] = {}
        self._generation = ""
        self._under: tuple[CompiledBook, bool] | None = None
        self._limits: LimitSets | None = None

    def look(self, book: CompiledBook) -> Seen:
        """Return the accounts of the book as they stand. Raises StateUnavailable.

        One whose record cannot be worked with is left out.
        """
        with localcontext(EXACT), held_back():
            prices, now_us = self._store.all_prices(), self._store.load(Load(accounts=())).now_us
            book = book.at(now_us)
            limits, feed = self._limits_under(book, now_us), Feed(prices, now_us, book.parameters)
            look, known, changed = _Look(book, limits, feed), self._known, set()
            with STAGES.labels("changed").time():
                # Worked out as they come: what was just read is at hand, and the store goes on meanwhile.
                for account_id in self._read(known):
                    changed.add(account_id)
                    look.at(account_id, known[account_id])
            with STAGES.labels("others").time():
                for account_id, one in known.items():
                    if account_id not in changed:
                        look.at(account_id, one)
            found = tuple([one.glance for one in known.values() if one.glance is not None])
            figures = tuple([one.figures for one in known.values() if one.figures is not None])
            return Seen(now_us, found, look.adder.sums(), figures)

    def firm(self, sums: FirmSums | None, book: CompiledBook, now_us: int) -> Glance:
        """Return the firm of which these are the sums, with the limits of the book that was looked under last."""
        assert self._limits is not None  # there was a look
        limits = self._limits.of_firm
        if sums is None:
            return unknown(FIRM)
        with localcontext(EXACT):
            return glance(FIRM, FirmPart(sums, book, now_us, tail=bool(limits.of_tail)), limits, book.parameters)

    def _limits_under(self, book: CompiledBook, now_us: int) -> LimitSets:
        """Return the limits of a book; where they are others than at the last look, everything is worked out again."""
        under = book, book.has_old_returns(now_us)
        if self._limits is None or under != self._under:
            self._under, self._limits = under, LimitSets(book)
            mine = filter(self._shard.has, book.accounts)
            self._known = {each: self._known.get(each) or _Known() for each in mine}
            for one in self._known.values():
                one.marks = None
        return self._limits

    # ----------------------------------------------------------------------------------------------- reading
    def _read(self, known: dict[str, _Known]) -> Iterator[str]:
        """Read the accounts that are not as they are known, and yield each."""
        of, self._generation = self._generation, ""
        generations, crowded = set(), []
        for part in self._store.changed(of, {account_id: one.edition for account_id, one in known.items()}):
            generations.add(part.generation)
            for record in part.records:
                if len(record.expired) < EXPIRED_LIMIT:
                    _take(record, record.expired, known[record.account_id])
                    yield record.account_id
                else:
                    crowded.append((record, part.now_us))
        for record, now_us in crowded:
            held = self._store.reservations(record.account_id)
            over = tuple(one for one in held if one.expires_at_us <= now_us)
            _take(record, over, known[record.account_id])
            yield record.account_id
        if len(generations) == 1:  # otherwise the store was restored meanwhile
            self._generation = generations.pop()


def _take(record: AccountRecord, expired: Sequence[Reservation], one: _Known) -> None:
    """Take what an account holds from its record."""
    one.edition, one.held, one.marks = UNKNOWN, None, None
    try:
        one.held = None if record.state is None else read_held(record.state, record.ledger, expired)
        one.edition = record.edition
    except (ValueError, ArithmeticError) as error:
        leave_out(record.account_id, error)
