"""What limits are held against when many accounts are looked at: an account, or what of it is on one exchange."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from operator import mul, sub
from typing import Protocol

from riskcore.compiled import CompiledBook
from riskcore.decimals import ZERO
from riskcore.held import Valued
from riskcore.metrics import Subject, Value, position_loss
from riskcore.tail import Tail


class Part(Protocol):
    """Some legs with their sums. The firm is one too (`firm_sums`)."""

    @property
    def whole(self) -> Subject:
        """Return all of it, looked at by way of no leg."""
        ...

    @property
    def symbols(self) -> Sequence[str]:
        """Return the symbol of each leg."""
        ...

    @property
    def exchanges(self) -> Sequence[str]:
        """Return the exchange of each leg, "" where nobody said."""
        ...

    def subject(self, place: int) -> Subject:
        """Return all of it, looked at by way of one leg."""
        ...

    def worst(self, figure: Value, places: Sequence[int]) -> int:
        """Return which of some legs, at least one, has the most of a symbol's figure."""
        ...

    def on(self, exchange: str, *, tail: bool) -> Part:
        """Return what of it is on an exchange; `tail`: with value at risk."""
        ...


class AccountPart:
    """The legs of an account.

    Parameters
    ----------
    valued
        The legs.
    book
        The book in force.
    now_us
        The moment of the look.
    tail
        With value at risk.
    """

    __slots__ = ("_book", "_now_us", "_subjects", "_totals", "_valued", "exchanges", "symbols", "whole")

    def __init__(self, valued: Valued, book: CompiledBook, now_us: int, *, tail: bool) -> None:
        self._valued, self._book, self._now_us = valued, book, now_us
        held = valued.held
        self.symbols, self.exchanges = held.symbols, held.exchanges
        self._totals = _totals(self.symbols, valued.worst) if held.repeats else valued.worst
        self.whole = Subject(state=held.state, exposure=valued.exposure, tail=self._tail() if tail else None)
        self._subjects: dict[int, Subject] = {}

    def _tail(self) -> Tail:
        legs = [self._valued.leg(place) for place in range(len(self.symbols))]
        old = self._book.has_old_returns(self._now_us)
        return Tail(self._book.returns, legs, self._valued.held.state.equity, old=old)

    def subject(self, place: int) -> Subject:
        found = self._subjects.get(place)
        if found is None:
            whole, leg = self.whole, self._valued.leg(place)
            beside = self._totals[place] - leg.worst_value
            found = Subject(state=whole.state, exposure=whole.exposure, leg=leg, beside=beside, tail=whole.tail)
            self._subjects[place] = found
        return found

    def worst(self, figure: Value, places: Sequence[int]) -> int:
        figures = self._losses() if figure is position_loss else self._totals
        return figures.index(max(figures)) if len(places) == len(figures) else max(places, key=figures.__getitem__)

    def _losses(self) -> list[Decimal]:
        """Return what each leg has lost as a fraction of its entry value, as `metrics.position_loss` does."""
        held = self._valued.held
        costs = list(map(mul, held.quantities, held.entry_prices))
        lost = map(sub, costs, self._valued.values)
        return [loss / abs(cost) if loss > ZERO and cost else ZERO for loss, cost in zip(lost, costs, strict=True)]

    def on(self, exchange: str, *, tail: bool) -> AccountPart:
        return AccountPart(self._valued.on(exchange), self._book, self._now_us, tail=tail)


def _totals(symbols: Sequence[str], worst: Sequence[Decimal]) -> list[Decimal]:
    """Return for each leg what its symbol comes to on all exchanges."""
    found: dict[str, Decimal] = {}
    for symbol, amount in zip(symbols, worst, strict=True):
        found[symbol] = found.get(symbol, ZERO) + amount
    return [found[symbol] for symbol in symbols]
