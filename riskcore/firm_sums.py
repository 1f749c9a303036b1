"""The sums over many accounts, and the firm as what limits are held against: `firm` for those who look at it often.

Parts of the firm may be added up apart from each other, and then together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from operator import add, attrgetter
from typing import Any, NoReturn

from msgspec import Struct

from riskcore.compiled import CompiledBook
from riskcore.decimals import ZERO
from riskcore.firm import FIRM
from riskcore.held import Valued
from riskcore.limit_set import LimitSet
from riskcore.metrics import Subject, Value
from riskcore.simulate import NO_ORDERS, Exposure, Leg
from riskcore.tail import Tail
from riskcore.types import AccountState

_MONEY = ("equity", "balance", "margin_used", "peak_equity", "daily_start_equity", "weekly_start_equity")
_EXPOSURE = Exposure.__struct_fields__

_money_of: Callable[[AccountState], tuple[Decimal, ...]] = attrgetter(*_MONEY)
_exposure_of: Callable[[Exposure], tuple[Any, ...]] = attrgetter(*_EXPOSURE)


class Summand(Struct, frozen=True, gc=False):
    """What is added up of an account. Empty columns: of its symbols no limit of the firm asks for that."""

    state: AccountState
    exposure: Exposure
    symbols: Sequence[str]
    worst: Sequence[Decimal]
    highs: Sequence[Decimal]
    lows: Sequence[Decimal]


def summand(valued: Valued, limits: LimitSet) -> Summand:
    """Return what is added up of an account, as far as the firm's limits ask for it."""
    held, none = valued.held, ()
    if limits.of_tail:
        return Summand(held.state, valued.exposure, held.symbols, valued.worst, valued.highs, valued.lows)
    if limits.of_symbol:
        return Summand(held.state, valued.exposure, held.symbols, valued.worst, none, none)
    return Summand(held.state, valued.exposure, none, none, none, none)


class FirmSums(Struct, frozen=True, kw_only=True):
    """The sums over some accounts that can be valued, at least one, in currency.

    `state` has the sums of their money, and is as old as the oldest; how far their sum fell within minutes is not
    known. `worst` has what they hold of each symbol, each at its worst; `highs` and `lows` what that comes to after all
    buys and after all sells. They are empty where no limit of the firm asks for them.
    """

    state: AccountState
    exposure: Exposure
    worst: dict[str, Decimal]
    highs: dict[str, Decimal]
    lows: dict[str, Decimal]


class Adder:
    """Adds accounts up, one after the other."""

    def __init__(self) -> None:
        self._oldest_us: int | None = None
        self._money: list[Any] = [0] * len(_MONEY)
        self._exposure: list[Any] = [0] * len(_EXPOSURE)
        self._worst, self._highs, self._lows = (defaultdict[str, Decimal](Decimal) for _ in range(3))

    def add(self, one: Summand) -> None:
        """Add an account."""
        state = one.state
        if self._oldest_us is None or state.received_at_us < self._oldest_us:
            self._oldest_us = state.received_at_us
        self._money = list(map(add, self._money, _money_of(state)))
        self._exposure = list(map(add, self._exposure, _exposure_of(one.exposure)))
        for sums, amounts in ((self._worst, one.worst), (self._highs, one.highs), (self._lows, one.lows)):
            if amounts:
                for symbol, amount in zip(one.symbols, amounts, strict=True):
                    sums[symbol] += amount

    def sums(self) -> FirmSums | None:
        """Return the sums over all that were added, None where there were none."""
        if self._oldest_us is None:
            return None
        state = AccountState(
            account_id=FIRM,
            **dict(zip(_MONEY, self._money, strict=True)),
            positions={},
            received_at_us=self._oldest_us,
            drawdown_rapid=None,
        )
        exposure = Exposure(**dict(zip(_EXPOSURE, self._exposure, strict=True)))
        return FirmSums(
            state=state, exposure=exposure, worst=dict(self._worst), highs=dict(self._highs), lows=dict(self._lows)
        )


def together(parts: Iterable[FirmSums]) -> FirmSums | None:
    """Return the sums over the accounts of parts that have none in common, None where there are none."""
    adder = Adder()
    for part in parts:
        symbols = tuple(part.worst)
        highs, lows = ([column[symbol] for symbol in symbols if column] for column in (part.highs, part.lows))
        adder.add(Summand(part.state, part.exposure, symbols, list(part.worst.values()), highs, lows))
    return adder.sums()


class FirmPart:
    """The firm, with what it has of each symbol as a leg. See `part.Part`.

    Parameters
    ----------
    sums
        Over all accounts.
    book
        The book in force.
    now_us
        The moment of the look.
    tail
        With value at risk.
    """

    def __init__(self, sums: FirmSums, book: CompiledBook, now_us: int, *, tail: bool) -> None:
        self._sums = sums
        self.symbols = sorted(sums.worst)
        self.exchanges = [""] * len(self.symbols)
        self.whole = Subject(state=sums.state, exposure=sums.exposure, tail=self._tail(book, now_us) if tail else None)

    def _tail(self, book: CompiledBook, now_us: int) -> Tail:
        legs = list(map(self._leg, self.symbols))
        return Tail(book.returns, legs, self._sums.state.equity, old=book.has_old_returns(now_us))

    def _leg(self, symbol: str) -> Leg:
        """Return what limits ask of a symbol: there is no entry price in common, and no mark is asked for."""
        high, low = self._sums.highs.get(symbol, ZERO), self._sums.lows.get(symbol, ZERO)
        return Leg(symbol, "", ZERO, ZERO, ZERO, NO_ORDERS, ZERO, ZERO, high, low, self._sums.worst[symbol], ZERO, ZERO)

    def subject(self, place: int) -> Subject:
        whole = self.whole
        return Subject(state=whole.state, exposure=whole.exposure, leg=self._leg(self.symbols[place]), tail=whole.tail)

    def worst(self, figure: Value, places: Sequence[int]) -> int:
        """Return which of some symbols there is most of. No limit of the firm is on another figure of each."""
        return max(places, key=lambda place: self._sums.worst[self.symbols[place]])

    def on(self, exchange: str, *, tail: bool) -> NoReturn:
        raise ValueError("a limit of the firm is of global scope")
