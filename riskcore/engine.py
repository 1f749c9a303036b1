"""The steps of a check, without any I/O: what to ask of the store, in what order, and what to do on a conflict.

A generator yields `Load`, `NeedBook` and `Commit`, and is sent the replies (see `ports`). A door drives it
with a synchronous or an asynchronous store; the logic is here once.
"""

from __future__ import annotations

from collections.abc import Generator

import msgspec

from riskcore.batch import Answered, Batch, NewId
from riskcore.case import decode_state, find_leg, home_exchange
from riskcore.compiled import CompiledBook
from riskcore.ledger import decode_ledger
from riskcore.ports import AccountQuery, AccountView, Commit, Committed, Control, Load, Loaded, NeedBook
from riskcore.reasons import Reason
from riskcore.refused import not_decided
from riskcore.types import Order, position_key

# Tries at one check before it is blocked: each one lost means that another change of the account came first.
MAX_ATTEMPTS = 16

Steps = Generator[Load | Commit | NeedBook, Loaded | Committed | CompiledBook, tuple[Answered, ...]]


def check_steps(
    orders: tuple[Order, ...], *, new_id: NewId, known: CompiledBook | None = None, atomic: bool = False
) -> Steps:
    """Check orders of one lane, in order and with cumulative effect; return an `Answered` for each.

    `new_id` makes a decision_id from the store's time in microseconds. `known` is the compiled book that the
    process used last, if any. `atomic`: all are approved or none.
    """
    exchanges = tuple(_home_exchange(order, known) for order in orders)
    keys = tuple(map(_keys, orders, exchanges))
    load = _query(orders, keys)
    reply = yield load
    book = known
    for _attempt in range(MAX_ATTEMPTS):
        assert isinstance(reply, Loaded)
        control = reply.control
        if control is None:
            return tuple(not_decided(order, Reason.RECOVERING, reply.now_us, new_id) for order in orders)
        book = yield from _book_in_force(control, book)
        exchanges = _leg_exchanges(orders, reply, book)
        wanted = _own_keys(orders, exchanges, reply, book)
        if wanted != keys:
            # The account's own orders are on other exchanges than was thought: look there.
            keys, load = wanted, _query(orders, wanted)
            reply = yield load
            continue
        batch = Batch(orders, exchanges, keys, reply, control, book, new_id)
        answers = batch.decide_all_or_none() if atomic else batch.decide()
        if not batch.journal():
            return answers
        reply = yield batch.commit(load)
        if isinstance(reply, Committed):
            return answers
    return (yield from _give_up(orders, exchanges, keys, load, reply, book, new_id))


def _give_up(
    orders: tuple[Order, ...],
    exchanges: tuple[str, ...],
    keys: tuple[tuple[str, ...], ...],
    load: Load,
    reply: Loaded | Committed | CompiledBook,
    book: CompiledBook | None,
    new_id: NewId,
) -> Steps:
    """Block every order because the account never stood still, and keep that decision."""
    assert isinstance(reply, Loaded)
    if reply.control is None:
        return tuple(not_decided(order, Reason.RECOVERING, reply.now_us, new_id) for order in orders)
    book = yield from _book_in_force(reply.control, book)
    batch = Batch(orders, exchanges, keys, reply, reply.control, book, new_id)
    answers = batch.refuse_all(Reason.CONTENTION)
    yield batch.record_only(load)
    return answers


def _book_in_force(
    control: Control, book: CompiledBook | None
) -> Generator[NeedBook, Loaded | Committed | CompiledBook, CompiledBook]:
    if book is not None and book.version == control.book_version:
        return book
    found = yield NeedBook(control.book_version)
    assert isinstance(found, CompiledBook)
    return found


def _home_exchange(order: Order, book: CompiledBook | None) -> str:
    """Return the order's exchange, or else its account's, as far as a book is at hand."""
    return home_exchange(order, book.accounts.get(order.account_id) if book is not None else None)


def _leg_exchanges(orders: tuple[Order, ...], loaded: Loaded, book: CompiledBook) -> tuple[str, ...]:
    """Return the exchange of the leg that each order changes, now that the accounts are known."""
    views = {view.account_id: view for view in loaded.accounts}
    return tuple(_leg_exchange(order, _home_exchange(order, book), views[order.account_id]) for order in orders)


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


def _own_keys(
    orders: tuple[Order, ...], exchanges: tuple[str, ...], loaded: Loaded, book: CompiledBook
) -> tuple[tuple[str, ...], ...]:
    """Return those legs of each order; of one whose exchange nobody knows, every leg with orders in its symbol."""
    views = {view.account_id: view for view in loaded.accounts}
    return tuple(
        _keys(order, home)
        if (home := _home_exchange(order, book))
        else tuple(dict.fromkeys((*_keys(order, exchange), *_open_keys(order.symbol, views[order.account_id]))))
        for order, exchange in zip(orders, exchanges, strict=True)
    )


def _open_keys(symbol: str, view: AccountView) -> list[str]:
    if view.ledger is None or position_key(symbol, "*")[:-1].encode() not in view.ledger:
        return []
    try:
        return sorted(key for key, opened in decode_ledger(view.ledger).open.items() if opened.symbol == symbol)
    except msgspec.MsgspecError:
        return []  # an unreadable record: the decision will say so


def _query(orders: tuple[Order, ...], keys: tuple[tuple[str, ...], ...]) -> Load:
    """Return the load that these orders need, one query an account."""
    wanted: dict[str, tuple[dict[str, None], dict[str, None], dict[str, None]]] = {}
    for order, of_order in zip(orders, keys, strict=True):
        order_ids, symbols, legs = wanted.setdefault(order.account_id, ({}, {}, {}))
        if not order.what_if:
            order_ids[order.order_id] = None
        symbols[order.symbol] = None
        legs.update(dict.fromkeys(of_order))
    return Load(
        accounts=tuple(
            AccountQuery(
                account_id=account_id,
                order_ids=tuple(ids),
                symbols=tuple(symbols),
                keys=tuple(legs),
                reservations=tuple(ids),
            )
            for account_id, (ids, symbols, legs) in wanted.items()
        )
    )
