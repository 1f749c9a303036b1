"""A recorded decision worked out again from what it was taken on, and put together for people."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache

import msgspec
from msgspec import Struct

from audit.models import OrderDecision
from audit.replay import Difference, compare
from policies.book import loaded
from policies.models import Book
from riskcore.case import FOR_EVER_US, Case, age_us, covers, current_mark
from riskcore.compiled import CompiledBook
from riskcore.explain import Explanation, explain
from riskcore.journal import Inputs
from riskcore.ports import Stop
from riskcore.types import AccountState, Decision, Position

_inputs = msgspec.json.Decoder(Inputs)
_answer = msgspec.json.Decoder(Decision)


class PriceUsed(Struct, frozen=True, kw_only=True):
    """What was known of a symbol's price. Ages in microseconds, None: nobody knows how old.

    `mark` is what the order was valued at, None where nothing was fresh. `fed` came by itself, `reported` with the
    account's state, as old as that is.
    """

    symbol: str
    mark: Decimal | None
    fed: Decimal | None
    fed_age_us: int | None
    reported: Decimal | None


class Worked(Struct, frozen=True, kw_only=True):
    """A decision as it was answered, and as it comes out today.

    `inputs` and `answer` None: they cannot be read. `told` None: it cannot be worked out again, `problem` says why.
    `difference`: it comes out otherwise than it was recorded. `stops` are those that covered the order; of `prices` its
    own is the first.
    """

    inputs: Inputs | None
    answer: Decision | None
    told: Explanation | None
    difference: Difference | None = None
    stops: tuple[Stop, ...] = ()
    prices: tuple[PriceUsed, ...] = ()
    problem: str = ""

    @property
    def state(self) -> AccountState | None:
        """Return the state that it was decided on."""
        return None if self.told is None else self.told.case.state

    @property
    def state_age_us(self) -> int | None:
        """Return how old that state was."""
        return None if self.told is None or self.told.case.state is None else _known(self.told.case.state_age_us)


def work_out_again(row: OrderDecision, book: Book | None) -> Worked:
    """Return a decision worked out again under the book that it names, None where there is no such book."""
    inputs, answer = _read(row)
    if inputs is None or answer is None:
        return Worked(inputs=inputs, answer=answer, told=None, problem="Its record cannot be read.")
    if book is None:
        problem = f"There is no book {row.book_version} any more."
        return Worked(inputs=inputs, answer=answer, told=None, problem=problem)
    try:
        compiled = _compiled(book.version, book.sha256)
        difference = compare(row, lambda _version: compiled)
        told = explain(inputs, compiled)
        stops, prices = tuple(_stops(told.case)), tuple(_prices(told.case))
    except Exception as error:  # whatever it is, it is a finding about this decision, which its page shows
        return Worked(inputs=inputs, answer=answer, told=None, problem=f"{type(error).__name__}: {error}")
    return Worked(inputs=inputs, answer=answer, told=told, difference=difference, stops=stops, prices=prices)


@lru_cache(maxsize=4)
def _compiled(version: int, _sha256: str) -> CompiledBook:
    """Return a book, ready to be decided by. The hash tells it from another of its number, in another database."""
    return CompiledBook(loaded(version))


def _read(row: OrderDecision) -> tuple[Inputs | None, Decision | None]:
    try:
        return _inputs.decode(row.inputs), _answer.decode(row.answer)
    except msgspec.MsgspecError:
        return None, None


def _stops(case: Case) -> Iterator[Stop]:
    return (stop for stop in case.inputs.stops if covers(stop, case.order, case.exchange))


def _prices(case: Case) -> Iterator[PriceUsed]:
    held = {each.symbol: each for each in case.state.positions.values()} if case.state is not None else {}
    for symbol in dict.fromkeys([case.order.symbol, *sorted({*held, *case.inputs.prices})]):
        yield _price(case, symbol, held.get(symbol))


def _price(case: Case, symbol: str, held: Position | None) -> PriceUsed:
    fed, now_us, parameters = case.inputs.prices.get(symbol), case.inputs.now_us, case.parameters
    age = None if fed is None else age_us(fed.received_at_us, fed.sent_at_us, now_us, parameters)
    return PriceUsed(
        symbol=symbol,
        mark=current_mark(held, fed, case.state_age_us, now_us, parameters),
        fed=None if fed is None else fed.price,
        fed_age_us=None if age is None else _known(age),
        reported=held.mark_price if held is not None and held.mark_price else None,
    )


def _known(age: int) -> int | None:
    """Return an age, None where it is longer than anything that is known."""
    return None if age >= FOR_EVER_US // 2 else age
