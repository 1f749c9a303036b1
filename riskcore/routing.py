"""Where an order goes, as far as it can be seen without decoding: the leg that it changes, its own orders there."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from riskcore.case import decode_state, find_leg, home_exchange
from riskcore.compiled import CompiledBook
from riskcore.ledger import decode_ledger
from riskcore.ports import AccountView
from riskcore.types import Order, position_key


class Routed(Struct, frozen=True, gc=False):
    """An order, the exchange of the leg that it changes, and the keys of the account's own orders that it may meet."""

    order: Order
    exchange: str
    keys: tuple[str, ...]


def route_unseen(order: Order, book: CompiledBook | None) -> Routed:
    """Return where an order probably goes, before its account was loaded and perhaps before any book was."""
    home = _home_exchange(order, book)
    return Routed(order, home, _keys(order, home))


def route(order: Order, view: AccountView, book: CompiledBook) -> Routed:
    """Return where an order goes, its account having been loaded.

    Of an order whose exchange nobody knows, every leg with open orders in its symbol is looked at.
    """
    home = _home_exchange(order, book)
    exchange = _leg_exchange(order, home, view)
    if home:
        return Routed(order, exchange, _keys(order, home))
    keys, opened = _keys(order, exchange), _open_keys(order.symbol, view)
    return Routed(order, exchange, tuple(dict.fromkeys((*keys, *opened))) if opened else keys)


def _home_exchange(order: Order, book: CompiledBook | None) -> str:
    return home_exchange(order, book.accounts.get(order.account_id) if book is not None else None)


def _leg_exchange(order: Order, exchange: str, view: AccountView) -> str:
    # Nearly always the state names exactly this leg or does not know the symbol: seen without decoding it.
    if view.state is None or order.symbol.encode() not in view.state:
        return exchange
    if f'"{position_key(order.symbol, exchange)}":'.encode() in view.state:
        return exchange
    try:
        return find_leg(order.symbol, exchange, decode_state(view.state).positions)[1]
    except msgspec.MsgspecError:
        return exchange  # an unreadable record: the decision will say so


def _keys(order: Order, exchange: str) -> tuple[str, ...]:
    """Return the legs on which an order may meet its account's own: its exchange's, and one that nobody named."""
    return (order.symbol, position_key(order.symbol, exchange)) if exchange else (order.symbol,)


def _open_keys(symbol: str, view: AccountView) -> list[str]:
    if view.ledger is None or position_key(symbol, "*")[:-1].encode() not in view.ledger:
        return []
    try:
        return sorted(key for key, opened in decode_ledger(view.ledger).open.items() if opened.symbol == symbol)
    except msgspec.MsgspecError:
        return []  # an unreadable record: the decision will say so
