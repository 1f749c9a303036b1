"""The ledger: running sums over open orders, message counts and the day's turnover, kept exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from riskcore.decimals import ZERO
from riskcore.remembered import Remembered
from riskcore.types import Ledger, OpenOrders, RateWindow, Reservation, Side, position_key

EMPTY_LEDGER = Ledger()

# A window is counted in this many slices. The oldest slice counts whole until it has left the window, so
# a limit is never exceeded in any window and is given back at most one slice late.
SLICES = 10

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Ledger)


# The ledgers seen last: the next order of an account mostly finds what this process wrote itself.
_ledgers: Remembered[bytes, Ledger] = Remembered(1_024)


# The JSON of open orders written last, by their identity, which is kept with it: an order changes one leg of them, and
# they are most of a ledger.
_texts: Remembered[int, tuple[OpenOrders, Raw]] = Remembered(16_384)


def encode_ledger(ledger: Ledger) -> bytes:
    """Return the ledger as JSON."""
    texts: dict[str, Raw] = {}
    for key, opened in ledger.open.items():
        kept = _texts.get(id(opened))
        texts[key] = kept[1] if kept is not None and kept[0] is opened else _text_of(opened)
    content = _encoder.encode(replace(ledger, open=texts))
    _ledgers.keep(content, ledger)
    return content


def _text_of(opened: OpenOrders) -> Raw:
    text = Raw(_encoder.encode(opened))
    _texts.keep(id(opened), (opened, text))
    return text


def decode_ledger(content: bytes | None) -> Ledger:
    """Return the ledger in `content`; None is an account without any.

    Raises msgspec.DecodeError where it is none, or where a sum in it cannot be one: room that is not there.
    """
    if content is None:
        return EMPTY_LEDGER
    known = _ledgers.get(content)
    if known is not None:
        return known
    try:
        ledger = _decoder.decode(content)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from None
    if not all(map(_is_sum, _amounts(ledger))):
        raise msgspec.DecodeError("a sum in the ledger is no number, or below zero")
    _ledgers.keep(content, ledger)
    return ledger


def _is_sum(amount: Decimal | int) -> bool:
    return (isinstance(amount, int) or amount.is_finite()) and amount >= 0


def _amounts(ledger: Ledger) -> Iterator[Decimal | int]:
    yield ledger.daily_notional
    yield from (ledger.daily_orders, ledger.daily_fills, ledger.consecutive_rejects)
    for used in ledger.overrides.values():
        yield from (used.orders, used.quantity, used.notional)
    for window in ledger.rates.values():
        yield from window.counts
    for opened in ledger.open.values():
        yield from (opened.buy_count, opened.buy_quantity, opened.buy_notional)
        yield from (opened.buy_margin, opened.buy_unit_margin)
        yield from (opened.sell_count, opened.sell_quantity, opened.sell_notional)
        yield from (opened.sell_margin, opened.sell_unit_margin)


def with_open(
    opened: OpenOrders, side: Side, quantity: Decimal, valued_at: Decimal, margin_rate: Decimal
) -> OpenOrders:
    """Return the sums with one more open order of that side (`valued_at` in currency per unit)."""
    unit_margin = valued_at * margin_rate
    most = opened.buy_unit_margin if side is Side.BUY else opened.sell_unit_margin
    return _moved(opened, side, 1, quantity, valued_at, unit_margin, max(most, unit_margin))


def without_open(
    opened: OpenOrders, side: Side, quantity: Decimal, valued_at: Decimal, margin_rate: Decimal
) -> OpenOrders:
    """Return the sums without an open order that is in them (`valued_at` in currency per unit).

    Nobody knows what the next dearest of the others is: a side forgets its dearest unit with its last order.
    """
    if side is Side.BUY:
        most = opened.buy_unit_margin if opened.buy_count > 1 else ZERO
    else:
        most = opened.sell_unit_margin if opened.sell_count > 1 else ZERO
    return _moved(opened, side, -1, -quantity, valued_at, valued_at * margin_rate, most)


def reserve(ledger: Ledger, held: Reservation) -> Ledger:
    """Return the ledger with the reservation's exposure in its sums."""
    key = position_key(held.symbol, held.exchange)
    before = ledger.open.get(key) or OpenOrders(symbol=held.symbol, exchange=held.exchange)
    after = with_open(before, held.side, held.quantity, held.valued_at, held.margin_rate)
    return replace(ledger, open={**ledger.open, key: after})


def release(ledger: Ledger, reservations: Iterable[Reservation]) -> Ledger:
    """Return the ledger without these reservations. Raises ValueError where one is not in its sums."""
    opened = dict(ledger.open)
    for gone in reservations:
        key = position_key(gone.symbol, gone.exchange)
        if key not in opened:
            raise ValueError(f"reservation {gone.order_id!r} is not in the open orders of {gone.account_id!r}")
        left = without_open(opened[key], gone.side, gone.quantity, gone.valued_at, gone.margin_rate)
        if left.buy_count < 0 or left.sell_count < 0:
            raise ValueError(f"more orders were closed in {key} than were open in {gone.account_id!r}")
        opened[key] = left
        if left.buy_count == 0 and left.sell_count == 0:
            del opened[key]
    return replace(ledger, open=opened)


def _moved(
    opened: OpenOrders,
    side: Side,
    count: int,
    quantity: Decimal,
    valued_at: Decimal,
    unit_margin: Decimal,
    most_unit_margin: Decimal,
) -> OpenOrders:
    """Return the sums with `count` orders of `quantity` more on one side, both below zero for fewer."""
    if side is Side.BUY:
        return OpenOrders(
            symbol=opened.symbol,
            exchange=opened.exchange,
            buy_count=opened.buy_count + count,
            buy_quantity=opened.buy_quantity + quantity,
            buy_notional=opened.buy_notional + quantity * valued_at,
            buy_margin=opened.buy_margin + quantity * unit_margin,
            buy_unit_margin=most_unit_margin,
            sell_count=opened.sell_count,
            sell_quantity=opened.sell_quantity,
            sell_notional=opened.sell_notional,
            sell_margin=opened.sell_margin,
            sell_unit_margin=opened.sell_unit_margin,
        )
    return OpenOrders(
        symbol=opened.symbol,
        exchange=opened.exchange,
        buy_count=opened.buy_count,
        buy_quantity=opened.buy_quantity,
        buy_notional=opened.buy_notional,
        buy_margin=opened.buy_margin,
        buy_unit_margin=opened.buy_unit_margin,
        sell_count=opened.sell_count + count,
        sell_quantity=opened.sell_quantity + quantity,
        sell_notional=opened.sell_notional + quantity * valued_at,
        sell_margin=opened.sell_margin + quantity * unit_margin,
        sell_unit_margin=most_unit_margin,
    )


def count_message(window: RateWindow | None, now_us: int, window_s: int) -> RateWindow:
    """Return the window with one more message at `now_us`, slices that have left it dropped.

    What is in a window of another length than `window_s` (the limit was changed) counts as sent now: who asks too often
    is not let off by the change.
    """
    slice_us = window_s * 1_000_000 // SLICES
    if window is None:
        return RateWindow(slice_us, now_us // slice_us, (1,))
    if window.slice_us != slice_us:
        return RateWindow(slice_us, now_us // slice_us, (messages_in(window, now_us) + 1,))
    # A clock that steps back counts into the newest slice: a message is never forgotten.
    newest = max(now_us // slice_us, _last_slice(window))
    first = max(window.first_slice, newest - SLICES)
    counts = [0] * (newest - first + 1)
    for number, count in enumerate(window.counts, window.first_slice - first):
        if number >= 0:
            counts[number] = count
    counts[-1] += 1
    return RateWindow(slice_us, first, tuple(counts))


def messages_in(window: RateWindow, now_us: int) -> int:
    """Return how many messages fall in the window that ends at `now_us`."""
    first = now_us // window.slice_us - SLICES
    return sum(window.counts[max(0, first - window.first_slice) :])


def is_over(window: RateWindow, now_us: int) -> bool:
    """Return whether every message has left the window."""
    return _last_slice(window) < now_us // window.slice_us - SLICES


def _last_slice(window: RateWindow) -> int:
    return window.first_slice + len(window.counts) - 1


def turnover_today(ledger: Ledger, now_us: int) -> Decimal:
    """Return the notional approved since the day's roll-over, in currency."""
    return ledger.daily_notional if now_us < ledger.day_end_us else ZERO


def orders_to_trades(ledger: Ledger, now_us: int, more: int = 0) -> Decimal:
    """Return the orders asked for since the day's roll-over, and `more`, over the fills since then, at least 1."""
    if now_us >= ledger.day_end_us:
        return Decimal(more)
    return Decimal(ledger.daily_orders + more) / max(1, ledger.daily_fills)


# What a trading day comes to, by the name of its metric: figures of an order that the account has without one too.
OF_THE_DAY: dict[str, Callable[[Ledger, int], Decimal]] = {
    "daily_notional": turnover_today,
    "order_to_trade": orders_to_trades,
}
