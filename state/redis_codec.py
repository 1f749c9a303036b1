"""Load and Commit as the arguments of scripts, and the scripts' replies as Loaded and Committed.

This is the hot path of every check: few objects, packed and decoded by msgspec in one go each. A reply that
is not understood raises StateUnavailable; only an unreadable control reads as none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from riskcore.ports import (
    AccountChange,
    AccountQuery,
    AccountView,
    Answer,
    Commit,
    Committed,
    Control,
    Load,
    Loaded,
    Signal,
    Stop,
)
from riskcore.remembered import Remembered
from riskcore.types import OrderTail, Price, Reservation
from state.bars import bar_price
from state.keys import own_member, own_price, own_suffix
from state.redis_wire import Argument
from state.requests import counts_as_version, exact_price
from state.store import ANSWER_LIFE_S, LOST_LEDGER, StateUnavailable

_COMMITTED = Committed()
_TAIL = b"tail"  # in the place of a fingerprint, which is longer
_NO_LEDGER = (None, LOST_LEDGER)
_UNREADABLE = (ValueError, TypeError, IndexError, AttributeError, msgspec.DecodeError)

_json = msgspec.json.Encoder()
# Redis reads MessagePack in less time than as many arguments, and packing those takes three times as long.
_pack = msgspec.msgpack.Encoder().encode
_price_decoder = msgspec.json.Decoder(dict[str, Price])
_reservation_decoder = msgspec.json.Decoder(Reservation)
_reservations_decoder = msgspec.json.Decoder(tuple[Reservation, ...])
_tail_decoder = msgspec.json.Decoder(OrderTail)
_signal_decoder = msgspec.json.Decoder(Signal)
_stops_decoder = msgspec.json.Decoder(tuple[Stop, ...])

# The control that was read last: between two stops or books, every load brings the same five fields.
_last_control: tuple[list[bytes | None], int, Control | None] = ([], 0, None)


def encode_load(load: Load) -> bytes:
    """Return the argument of the load script: each account's query, packed."""
    return _pack(
        [
            (one.account_id, one.order_ids, one.symbols, one.keys, one.reservations, one.fills, one.flow)
            for one in load.accounts
        ]
    )


def encode_commit(commit: Commit) -> list[bytes]:
    """Return the arguments of the commit script: what is small is packed, what is large follows as it is."""
    expect = commit.expect
    control = ("", "", "") if expect is None else (expect.generation, str(expect.epoch), str(expect.book_version))
    small = (str(ANSWER_LIFE_S), *control, [_small_part(change) for change in commit.changes])
    arguments = [_pack(small), encode_load(commit.reload)]
    for change in commit.changes:
        arguments += _large_parts(change)
    arguments += commit.journal
    return arguments


def _small_part(change: AccountChange) -> dict[str, Any]:
    """Return what of a change is compared and looked up. Numbers are text: Lua would make floats of them."""
    version = change.expected_version
    return {
        "id": change.account_id,
        "expected": str(version),
        "following": str(version + 1) if counts_as_version(change) else "",
        "symbols": "\n".join(change.symbols),
        "removed": [(held.order_id, own_suffix(held), own_member(held)) for held in change.remove],
        "added": [(held.order_id, own_suffix(held), own_member(held), str(held.expires_at_us)) for held in change.add],
        "answers": [*change.answers, *change.tails],
        "fills": change.fills,
    }


def _large_parts(change: AccountChange) -> Iterator[bytes]:
    """Yield the contents that a change writes, in the order in which its small part names them."""
    yield change.state or b""
    yield change.ledger or b""
    yield change.flow or b""
    yield from map(_json.encode, change.add)
    for answer in change.answers.values():
        yield answer.fingerprint.encode() + b"\n" + answer.decision
    for tail in change.tails.values():
        yield _TAIL + b"\n" + _json.encode(tail)


def decode_committed(reply: Any, commit: Commit, lanes: int = 1) -> Committed | Loaded:
    """Return what the commit script replied."""
    return _COMMITTED if reply == 1 else decode_loaded(reply, commit.reload, lanes)


def decode_loaded(reply: Any, load: Load, lanes: int = 1) -> Loaded:
    """Return what the load script replied to `load`, of a store with so many lanes."""
    try:
        prices = _prices(reply[6])
        only = len(load.accounts) == 1
        return Loaded(
            now_us=int(reply[0]),
            control=decode_control(reply[1:6], lanes),
            accounts=tuple(
                _view(raw, query, prices if only else None, prices)
                for raw, query in zip(reply[8:], load.accounts, strict=True)
            ),
            signal=_signal(reply[7]),
        )
    except _UNREADABLE as error:
        raise StateUnavailable(f"the live state holds what cannot be read: {error}") from error


def _signal(text: bytes | None) -> Signal | None:
    return None if text is None else _signal_decoder.decode(text[text.index(b"\n") + 1 :])


def decode_firm_part(text: bytes) -> tuple[int, bytes]:
    """Return when a part of the firm was written, in microseconds, and what it comes to."""
    try:
        _token, at_us, content = text.split(b"\n", 2)
        return _whole(at_us), content
    except _UNREADABLE as error:
        raise StateUnavailable(f"the live state holds what cannot be read: {error}") from error


# The prices read last, by their text: until one of them moves, the orders of an account find the same ones.
_known_prices: Remembered[bytes, dict[str, Price]] = Remembered(1_024)


def _prices(text: bytes) -> dict[str, Price]:
    """Return the prices in a reply, not to be changed."""
    known = _known_prices.get(text)
    if known is None:
        known = _price_decoder.decode(text)
        _known_prices.keep(text, known)
    return known


def _view(
    raw: list[Any], query: AccountQuery, prices: dict[str, Price] | None, all_prices: dict[str, Price]
) -> AccountView:
    """Return one account's view. `prices` None: it has to pick its own from those of all accounts."""
    version, state, ledger, symbols, expired = raw[:5]
    if version is None and (state is not None or ledger not in _NO_LEDGER):
        raise ValueError(f"account {query.account_id} has no version")
    if prices is None:
        wanted = (*query.symbols, *(symbols or b"").decode().split("\n"))
        prices = {symbol: all_prices[symbol] for symbol in wanted if symbol in all_prices}
    at = 5
    answers, tails = {}, {}
    for order_id in query.order_ids:
        if raw[at] is not None:
            fingerprint, line_feed, text = raw[at].partition(b"\n")
            if not line_feed:
                raise ValueError("an answer without its fingerprint")
            if fingerprint == _TAIL:
                tails[order_id] = _tail_decoder.decode(text)
            else:
                answers[order_id] = Answer(fingerprint.decode(), text)
        at += 1
    bids, asks = {}, {}
    for key in query.keys:
        if bid := raw[at]:
            bids[key] = own_price(bid.decode())
        if ask := raw[at + 1]:
            asks[key] = own_price(ask.decode())
        at += 2
    held = {}
    for order_id in query.reservations:
        if raw[at] is not None:
            held[order_id] = _reservation_decoder.decode(raw[at])
        at += 1
    fills = frozenset(fill_id for fill_id, known in zip(query.fills, raw[at:], strict=False) if known)
    return AccountView(
        account_id=query.account_id,
        version=0 if version is None else _whole(version),
        state=state,
        ledger=ledger,
        prices=prices,
        answers=answers,
        expired=_reservations_decoder.decode(expired) if expired else (),
        own_bids=bids,
        own_asks=asks,
        reservations=held,
        tails=tails,
        fills=fills,
        flow=raw[at + len(query.fills)] if query.flow else None,
    )


def _whole(text: bytes) -> int:
    if not text.isdigit():
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def decode_control(fields: Sequence[bytes | None], lanes: int) -> Control | None:
    """Return the control in [generation, epoch, book, stops, lanes].

    None where any is missing or unreadable, or where it is the control of another number of lanes.
    """
    global _last_control  # noqa: PLW0603 - a memo: whoever writes it last, it is right
    known_fields, known_lanes, known = _last_control
    if fields == known_fields and lanes == known_lanes:
        return known
    control = _read_control(*fields, lanes=lanes)
    _last_control = (list(fields), lanes, control)
    return control


def _read_control(
    generation: bytes | None,
    epoch: bytes | None,
    book: bytes | None,
    stops: bytes | None,
    written_for: bytes | None,
    *,
    lanes: int,
) -> Control | None:
    if not generation or epoch is None or book is None or stops is None or written_for != b"%d" % lanes:
        return None
    try:
        return Control(
            generation=generation.decode(),
            epoch=_whole(epoch),
            book_version=_whole(book),
            stops=_stops_decoder.decode(stops),
        )
    except _UNREADABLE:
        return None


def encode_stops(stops: Iterable[Stop]) -> bytes:
    """Return the stops as the control keeps them."""
    return _json.encode(tuple(stops))


def encode_stop(stop: Stop) -> bytes:
    """Return one stop as it stands among others."""
    return _json.encode(stop)


def encode_ids(ids: Iterable[str]) -> bytes:
    """Return ids as scripts read them."""
    return _json.encode(tuple(ids))


def decode_stops(text: bytes | None) -> tuple[Stop, ...] | None:
    """Return the stops that the control keeps, None where there are none to be read."""
    try:
        return None if text is None else _stops_decoder.decode(text)
    except _UNREADABLE:
        return None


def encode_price(symbol: str, text: str, sent_at_us: int) -> tuple[Argument, ...]:
    """Return the arguments that write one price; the script adds the receipt after the second.

    Raises ValueError where `text` is not a finite decimal or the stamp is out of range.
    """
    price = exact_price(text, sent_at_us)
    head = f"{_json.encode(symbol).decode()}:[{_json.encode(price).decode()},"
    return symbol, head, sent_at_us, bar_price(price)


def decode_prices(records: Iterable[bytes | None]) -> dict[str, Price]:
    """Return the prices in the records of the prices hash."""
    try:
        return _price_decoder.decode(b"{" + b",".join(record for record in records if record) + b"}")
    except msgspec.DecodeError as error:
        raise StateUnavailable(f"the live state holds a price that cannot be read: {error}") from error


def decode_reservations(texts: Iterable[bytes]) -> tuple[Reservation, ...]:
    """Return the reservations in `texts`, oldest first."""
    try:
        held = [_reservation_decoder.decode(text) for text in texts]
    except msgspec.DecodeError as error:
        raise StateUnavailable(f"the live state holds a reservation that cannot be read: {error}") from error
    return tuple(sorted(held, key=lambda one: (one.created_at_us, one.order_id)))
