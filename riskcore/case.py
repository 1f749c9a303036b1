"""One order and everything known about its account at one moment: what the gates look at."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

import msgspec
from msgspec import Struct

from riskcore.book import Account, Instrument, Override, Parameters
from riskcore.compiled import CompiledBook
from riskcore.decimals import EXACT, FINEST, ONE, ZERO
from riskcore.journal import Inputs
from riskcore.ledger import decode_ledger, release
from riskcore.ports import Stop, StopScope
from riskcore.remembered import Remembered
from riskcore.simulate import strictly_reduces
from riskcore.types import (
    AccountState,
    Ledger,
    Order,
    OrderType,
    Position,
    Price,
    Side,
    TradingState,
    position_key,
)

_state_decoder = msgspec.json.Decoder(AccountState)
# Older than anything that is accepted.
FOR_EVER_US = 1 << 62

_SEVERITY = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}


class Case(Struct, frozen=True, kw_only=True, gc=False):
    """An order beside its account.

    `account` None: officers do not know it. `state` None: none was ever reported. `readable` False: a
    record of the account cannot be understood, so nothing may be approved on it. `state_age_us` is very large
    without a state. `exchange` is where the order goes, as stops and limits see it ("": nobody knows). `key` is
    the leg that it would change, and `position` what is held there; `leg_exchange` is empty where a report named
    none, wherever the order goes. `override` is the one under which it is judged, None where it is judged without.
    """

    order: Order
    inputs: Inputs
    book: CompiledBook
    account: Account | None
    instrument: Instrument | None
    state: AccountState | None
    state_age_us: int
    ledger: Ledger
    readable: bool
    exchange: str
    key: str
    leg_exchange: str
    position: Position | None
    reducing: bool
    trading_state: TradingState
    override: Override | None = None

    @property
    def parameters(self) -> Parameters:
        return self.book.parameters


def build_case(inputs: Inputs, book: CompiledBook, *, workable: bool = True) -> Case:
    """Return the case of these inputs. Records that cannot be read make it unreadable.

    Raises ArithmeticError where they cannot be worked with; not `workable` takes them for unreadable at once.
    """
    order = inputs.order
    account = book.accounts.get(order.account_id)
    home = home_exchange(order, account)
    state, ledger, readable = _read_records(inputs) if workable else (None, Ledger(), False)
    key, leg_exchange = find_leg(order.symbol, home, state.positions if state is not None else {})
    exchange = home or leg_exchange
    position = state.positions.get(key) if state is not None else None
    state_age_us = FOR_EVER_US if state is None else age_of(state, inputs.now_us, book.parameters)
    reducing = (
        position is not None
        and state_age_us <= book.parameters.state_max_age_us
        and strictly_reduces(position.quantity, order.side, order.quantity, _same_side_open(order, ledger, key))
    )
    return Case(
        order=order,
        inputs=inputs,
        book=book,
        account=account,
        instrument=book.instruments.get(order.symbol),
        state=state,
        state_age_us=state_age_us,
        ledger=ledger,
        readable=readable,
        exchange=exchange,
        key=key,
        leg_exchange=leg_exchange,
        position=position,
        reducing=reducing,
        trading_state=trading_state_for(order, exchange, inputs.stops),
    )


def home_exchange(order: Order, account: Account | None) -> str:
    """Return the exchange that an order names, or else its account's; "" where neither does."""
    return order.exchange or (account.exchange if account is not None else "")


def _read_records(inputs: Inputs) -> tuple[AccountState | None, Ledger, bool]:
    state_json, ledger_json = bytes(inputs.state), bytes(inputs.ledger)
    try:
        state = None if state_json == b"null" else decode_state(state_json)
        ledger = release(decode_ledger(None if ledger_json == b"null" else ledger_json), inputs.expired)
    except (msgspec.MsgspecError, ValueError, ArithmeticError):
        return None, Ledger(), False
    return state, ledger, True


# The last records decoded, by account: between two reports of an account its orders find the same bytes.
_states: Remembered[bytes, AccountState] = Remembered(4_096)


def decode_state(content: bytes) -> AccountState:
    """Return the account state in `content`. Raises msgspec.DecodeError where it is not one."""
    state = _states.get(content)
    if state is None:
        state = _decode_exactly(content)
        _states.keep(content, state)
    return state


def _decode_exactly(content: bytes) -> AccountState:
    """Decode a state whose text is text and whose amounts are numbers: no NaN, no infinity."""
    try:
        state = _state_decoder.decode(content)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from None
    for record in (state, *state.positions.values()):
        for name in record.__struct_fields__:
            amount = getattr(record, name)
            if isinstance(amount, Decimal) and not amount.is_finite():
                raise msgspec.ValidationError(f"{name} is {amount}")
    return state


def find_leg(symbol: str, exchange: str, positions: dict[str, Position]) -> tuple[str, str]:
    """Return the key and exchange of the leg that an order on `exchange` ("" where none is named) changes.

    The exact one if a position is held there. Reports and orders do not always both name the exchange: an
    order then belongs to the position without an exchange, or to the only one there is in the symbol. Open
    orders say nothing: one sent before the first report would hide the position from an order to close it.
    """
    exact = position_key(symbol, exchange)
    if exact in positions:
        return exact, exchange
    if exchange:
        return (symbol, "") if symbol in positions else (exact, exchange)
    named = [held.exchange for held in positions.values() if held.symbol == symbol]
    return (position_key(symbol, named[0]), named[0]) if len(named) == 1 else (exact, exchange)


def _same_side_open(order: Order, ledger: Ledger, key: str) -> Decimal:
    """Sum the open quantity of the order's side over every leg of the symbol that may close this position."""
    total, symbol = ZERO, order.symbol
    for opened_key, opened in ledger.open.items():
        if opened.symbol == symbol and (opened_key == key or not opened.exchange or key == symbol):
            total += opened.buy_quantity if order.side is Side.BUY else opened.sell_quantity
    return total


def reducible_quantity(case: Case) -> Decimal:
    """Return the largest quantity that strictly reduces the position; 0 where the order's side opens it."""
    position = case.position
    if position is None or not position.quantity or (position.quantity > ZERO) is (case.order.side is Side.BUY):
        return ZERO
    return max(ZERO, abs(position.quantity) - _same_side_open(case.order, case.ledger, case.key))


def age_of(state: AccountState, now_us: int, parameters: Parameters) -> int:
    """Return how old an account state is, in microseconds (`age_us`)."""
    return age_us(state.received_at_us, state.sent_at_us, now_us, parameters)


def age_us(received_at_us: int, sent_at_us: int, now_us: int, parameters: Parameters) -> int:
    """Return how old a report is, in microseconds.

    It counts from our receipt, or from the sender's own stamp where that is older by more than the
    tolerated difference of clocks. A stamp ahead of our clock makes nothing younger; a receipt ahead of it, by
    more than that difference, says that our own clock was put back: nobody knows how old the report is.
    """
    if received_at_us > now_us + parameters.sender_clock_tolerance_us:
        return FOR_EVER_US
    known_at = received_at_us
    if sent_at_us:
        known_at = min(known_at, sent_at_us + parameters.sender_clock_tolerance_us)
    return now_us - known_at


def current_mark(
    position: Position | None, price: Price | None, state_age_us: int, now_us: int, parameters: Parameters
) -> Decimal | None:
    """Return the fresher of the price feed and the mark of the state, which is so old; None where neither is fresh."""
    best: Decimal | None = None
    best_age = parameters.price_max_age_us
    if price is not None and price.price > ZERO:
        age = now_us - price.received_at_us
        if price.sent_at_us or age < 0:  # as a rule its own stamp is not known, and our clock goes forward
            age = age_us(price.received_at_us, price.sent_at_us, now_us, parameters)
        if age <= best_age:
            best, best_age = price.price, age
    if position is None or position.mark_price <= ZERO:
        return best
    fresher = state_age_us < best_age or (best is None and state_age_us == best_age)
    return position.mark_price if fresher else best


def trading_state_for(order: Order, exchange: str, stops: tuple[Stop, ...]) -> TradingState:
    """Return the state of the most severe stop in whose scope the order is, ACTIVE where there is none.

    REDUCING for an order that closes a position for one of them, which is to be unwound: no other stop keeps the
    account from becoming flat (decision 0020).
    """
    worst = TradingState.ACTIVE
    for stop in stops:
        if covers(stop, order, exchange):
            if stop.unwind and stop.id == order.stop_id:
                return TradingState.REDUCING
            if _SEVERITY[stop.state] > _SEVERITY[worst]:
                worst = stop.state
    return worst


def covers(stop: Stop, order: Order, exchange: str) -> bool:
    """Return whether an order is in the scope of a stop. `exchange` is where it goes, "" where nobody knows."""
    match stop.scope:
        case StopScope.GLOBAL:
            return True
        case StopScope.EXCHANGE:
            # An order whose exchange nobody knows may be for the stopped one.
            return exchange in (stop.scope_id, "")
        case StopScope.ACCOUNT:
            return order.account_id == stop.scope_id
        case StopScope.STRATEGY:
            return order.strategy_id == stop.scope_id
        case _:
            return order.symbol == stop.scope_id


def reference_price(order: Order, mark: Decimal, parameters: Parameters) -> Decimal:
    """Return the price an order is valued at: its own, or the mark plus slippage where it has none."""
    return order.price or mark * (ONE + parameters.market_slippage)


def valuation_price(order: Order, reference: Decimal, mark: Decimal) -> Decimal:
    """Return what a unit of the order counts as exposure, in currency.

    Its reference price; of a sell below the mark the mark, because it trades at the best price there is.
    """
    return mark if order.side is Side.SELL and reference < mark else reference


def margin_rate(order: Order, instrument: Instrument | None, parameters: Parameters) -> Decimal:
    """Return initial margin as a fraction of notional; a lower leverage at the venue needs more.

    One third is rounded up to twelve decimals, so that every sum of margins is exact.
    """
    rate = instrument.margin_rate if instrument is not None else ZERO
    rate = rate or parameters.default_margin_rate
    if not order.leverage:
        return rate
    return max(rate, (ONE / order.leverage).quantize(FINEST, ROUND_CEILING, EXACT))


def has_price(order: Order) -> bool:
    """Return whether an order of this type must name a price."""
    return order.order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
