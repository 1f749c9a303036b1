"""What riskportal itself knows of the accounts that a stop is about: the OMS's word is held against it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from msgspec import Struct

from emergency.notes import StopNote
from emergency.work import HeldPosition
from riskcore.book import Parameters
from riskcore.case import age_of, decode_state
from riskcore.ledger import decode_ledger
from riskcore.ports import AccountQuery, AccountView, StopScope
from riskcore.types import AccountState, Ledger
from state.many import load_many
from state.store import Store

# An account that holds nothing and of which nothing was heard for so long is not asked about.
_LONG_GONE_US = 7 * 24 * 3600 * 1_000_000

_NEVER = "no state was ever reported"
_OLD = "its state is old"
_UNREADABLE = "what is known of it cannot be read"


class Seen(Struct, frozen=True, kw_only=True):
    """An account as riskportal knows it.

    `reported_us` is when its state came in, 0: never. `problem` says why its positions are not known at this moment,
    empty where they are. `ledger` None: it cannot be read.
    """

    account_id: str
    state: AccountState | None
    ledger: Ledger | None
    reported_us: int
    problem: str
    long_gone: bool

    def positions(self, stop: StopNote) -> tuple[HeldPosition, ...]:
        """Return the positions that a stop is about, as last reported."""
        held = () if self.state is None else self.state.positions.values()
        return tuple(
            HeldPosition(symbol=each.symbol, exchange=each.exchange, quantity=each.quantity)
            for each in held
            if each.quantity and is_within(stop, each.symbol, each.exchange)
        )

    def open_orders(self, stop: StopNote) -> int:
        """Return how many open orders the ledger has there, also of other strategies and such that have run out.

        Where it cannot be read there may be some.
        """
        if self.ledger is None:
            return 1
        opened = self.ledger.open.values()
        return sum(each.buy_count + each.sell_count for each in opened if is_within(stop, each.symbol, each.exchange))


def is_within(stop: StopNote, symbol: str, exchange: str) -> bool:
    """Return whether a stop is about what an account has there; what names no exchange may be on any."""
    if stop.scope is StopScope.SYMBOL:
        return symbol == stop.scope_id
    return stop.scope is not StopScope.EXCHANGE or exchange in (stop.scope_id, "")


def look(store: Store, account_ids: Iterable[str], parameters: Parameters | None) -> dict[str, Seen]:
    """Return accounts as they are now. Without `parameters` nobody knows what is fresh. Raises StateUnavailable."""
    queries = (AccountQuery(account_id=each) for each in account_ids)
    return {
        view.account_id: _seen(view, loaded.now_us, parameters)
        for loaded in load_many(store, queries)
        for view in loaded.accounts
    }


def _seen(view: AccountView, now_us: int, parameters: Parameters | None) -> Seen:
    state, ledger, problem = None, None, ""
    try:
        ledger = decode_ledger(view.ledger)
        state = None if view.state is None else decode_state(view.state)
    except (msgspec.MsgspecError, ValueError, ArithmeticError):
        problem = _UNREADABLE
    if state is None:
        problem = problem or _NEVER
    elif parameters is None or age_of(state, now_us, parameters) > parameters.state_max_age_us:
        problem = problem or _OLD
    reported_us = 0 if state is None else state.received_at_us
    return Seen(
        account_id=view.account_id,
        state=state,
        ledger=ledger,
        reported_us=reported_us,
        problem=problem,
        long_gone=problem in (_OLD, _NEVER) and now_us - reported_us > _LONG_GONE_US,
    )


def concerned(stop: StopNote, seen: Mapping[str, Seen]) -> Iterator[str]:
    """Yield the accounts that a stop is about: of all but that of one account, everybody who may trade.

    An OMS may have orders of whom riskportal knows none: what it has reserved ends by time.
    """
    if stop.scope is StopScope.ACCOUNT:
        yield stop.scope_id
        return
    for account_id, each in seen.items():
        if not each.long_gone or each.positions(stop) or each.open_orders(stop):
            yield account_id


def orders_from_before(store: Store, account_id: str, stop: StopNote, before_us: int, now_us: int) -> int:
    """Return how many orders of an account riskportal counts that a stop is about and that were approved before.

    Raises StateUnavailable.
    """
    return sum(
        held.created_at_us <= before_us
        and held.expires_at_us > now_us
        and is_within(stop, held.symbol, held.exchange)
        and (stop.scope is not StopScope.STRATEGY or held.strategy_id == stop.scope_id)
        for held in store.reservations(account_id)
    )
