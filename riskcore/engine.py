"""The steps of a check, without any I/O: what to ask of the store, in what order, and what to do on a conflict.

A generator yields `Load`, `NeedBook` and `Commit`, and is sent the replies (see `ports`). A door drives it
with a synchronous or an asynchronous store; the logic is here once.
"""

from __future__ import annotations

from collections.abc import Generator

from riskcore.batch import Answered, Batch, NewId
from riskcore.compiled import CompiledBook
from riskcore.ports import AccountQuery, Commit, Committed, Control, Load, Loaded, NeedBook
from riskcore.reasons import Reason
from riskcore.refused import not_decided
from riskcore.routing import Routed, route, route_unseen
from riskcore.types import Order

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
    routed = tuple(route_unseen(order, known) for order in orders)
    load = _query(routed)
    reply = yield load
    book = known
    for _attempt in range(MAX_ATTEMPTS):
        assert isinstance(reply, Loaded)
        control = reply.control
        if control is None:
            return tuple(not_decided(order, Reason.RECOVERING, reply.now_us, new_id) for order in orders)
        book = yield from _book_in_force(control, book)
        before, routed = routed, _route_all(orders, reply, book)
        if any(one.keys != other.keys for one, other in zip(before, routed, strict=True)):
            # The account's own orders are on other exchanges than was thought: look there.
            load = _query(routed)
            reply = yield load
            continue
        batch = Batch(routed, reply, control, book, new_id)
        answers = batch.decide_all_or_none() if atomic else batch.decide()
        if not batch.journal():
            return answers
        reply = yield batch.commit(load)
        if isinstance(reply, Committed):
            return answers
    return (yield from _give_up(routed, load, reply, book, new_id))


def _give_up(
    routed: tuple[Routed, ...],
    load: Load,
    reply: Loaded | Committed | CompiledBook,
    book: CompiledBook | None,
    new_id: NewId,
) -> Steps:
    """Block every order because the account never stood still, and keep that decision."""
    assert isinstance(reply, Loaded)
    if reply.control is None:
        return tuple(not_decided(one.order, Reason.RECOVERING, reply.now_us, new_id) for one in routed)
    book = yield from _book_in_force(reply.control, book)
    batch = Batch(routed, reply, reply.control, book, new_id)
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


def _route_all(orders: tuple[Order, ...], loaded: Loaded, book: CompiledBook) -> tuple[Routed, ...]:
    views = {view.account_id: view for view in loaded.accounts}
    return tuple(route(order, views[order.account_id], book) for order in orders)


def _query(routed: tuple[Routed, ...]) -> Load:
    """Return the load that these orders need, one query an account."""
    wanted: dict[str, tuple[dict[str, None], dict[str, None], dict[str, None]]] = {}
    for one in routed:
        order = one.order
        order_ids, symbols, legs = wanted.setdefault(order.account_id, ({}, {}, {}))
        if not order.what_if:
            order_ids[order.order_id] = None
        symbols[order.symbol] = None
        legs.update(dict.fromkeys(one.keys))
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
