"""The sums over many accounts, and the firm as what limits are held against: `firm` for those who look at it often.

Parts of the firm may be added up apart from each other, and then together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from operator import attrgetter
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


def sum_up(accounts: Sequence[Summand]) -> FirmSums | None:
    """Return the sums over accounts, None where there are none."""
    if not accounts:
        return None
    return FirmSums(
        state=_state([each.state for each in accounts]),
        exposure=_exposure(each.exposure for each in accounts),
        worst=_by_symbol((each.symbols, each.worst) for each in accounts),
        highs=_by_symbol((each.symbols, each.highs) for each in accounts if each.highs),
        lows=_by_symbol((each.symbols, each.lows) for each in accounts if each.lows),
    )


def together(parts: Sequence[FirmSums]) -> FirmSums | None:
    """Return the sums over the accounts of parts that have none in common, None where there are none."""
    if not parts:
        return None
    return FirmSums(
        state=_state([part.state for part in parts]),
        exposure=_exposure(part.exposure for part in parts),
        worst=_by_symbol((part.worst, part.worst.values()) for part in parts),
        highs=_by_symbol((part.highs, part.highs.values()) for part in parts),
        lows=_by_symbol((part.lows, part.lows.values()) for part in parts),
    )


def _state(states: Sequence[AccountState]) -> AccountState:
    return AccountState(
        account_id=FIRM,
        **dict(zip(_MONEY, _columns_of(map(_money_of, states)), strict=True)),
        positions={},
        received_at_us=min(one.received_at_us for one in states),
        drawdown_rapid=None,
    )


def _exposure(exposures: Iterable[Exposure]) -> Exposure:
    return Exposure(**dict(zip(_EXPOSURE, _columns_of(map(_exposure_of, exposures)), strict=True)))


def _columns_of(rows: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Add up each column."""
    return list(map(sum, zip(*rows, strict=True)))


def _by_symbol(columns: Iterable[tuple[Iterable[str], Iterable[Decimal]]]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = defaultdict(Decimal)
    for symbols, amounts in columns:
        for symbol, amount in zip(symbols, amounts, strict=True):
            found[symbol] += amount
    return dict(found)


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
