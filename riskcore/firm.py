"""The whole firm as if it were one account: the sums over all of them, read like any other picture."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from msgspec.structs import replace

from riskcore.book import Account, Scope
from riskcore.compiled import CompiledBook
from riskcore.decimals import ZERO
from riskcore.limits import Limit
from riskcore.metrics import Subject
from riskcore.picture import Picture, worst_by_symbol
from riskcore.rollout import is_partial
from riskcore.simulate import NO_ORDERS, Leg, exposure_of
from riskcore.tail import Tail
from riskcore.types import AccountState, Ledger

# The firm's name among pictures; no account can have it.
FIRM = ""

# Figures of an account that do not add up to one of the firm: a limit on them is on each account.
_OF_EACH = ("drawdown_rapid", "position_loss")


def is_of_firm(limit: Limit) -> bool:
    """Return whether a limit on every account is one on all of them together, too.

    One that is enforced on some accounts only is not.
    """
    if limit.shadow or is_partial(limit.policy):
        return False
    return limit.of_account and limit.metric.name not in _OF_EACH and limit.policy.scope is Scope.GLOBAL


def firm_of(pictures: Iterable[Picture], book: CompiledBook, now_us: int) -> Picture:
    """Return the sums over the accounts that can be valued; a picture without a state where there are none.

    A symbol's legs are added up over accounts and exchanges: gross values, and the ends of the ranges over which open
    orders may fill. The sum of the peaks is not below the peak of the sum, so the firm's drawdown is never understated.
    The state is as old as the oldest. How far the sum fell within minutes is not known from the accounts' own falls.
    """
    book = book.at(now_us)
    valued = [picture for picture in pictures if picture.state is not None and picture.legs is not None]
    states = [picture.state for picture in valued if picture.state is not None]
    none = Picture(
        account=Account(id=FIRM, profile=""),
        book=book,
        now_us=now_us,
        state=None,
        ledger=Ledger(),
        prices={},
        legs=None,
        worst={},
        whole=None,
    )
    if not states:
        return none
    state = AccountState(
        account_id=FIRM,
        equity=sum((one.equity for one in states), ZERO),
        balance=sum((one.balance for one in states), ZERO),
        margin_used=sum((one.margin_used for one in states), ZERO),
        peak_equity=sum((one.peak_equity for one in states), ZERO),
        daily_start_equity=sum((one.daily_start_equity for one in states), ZERO),
        weekly_start_equity=sum((one.weekly_start_equity for one in states), ZERO),
        positions={},
        received_at_us=min(one.received_at_us for one in states),
        drawdown_rapid=None,
    )
    every_leg = list(chain.from_iterable((picture.legs or {}).values() for picture in valued))
    legs = _by_symbol(every_leg)
    tail = Tail(book.returns, list(legs.values()), state.equity, old=book.has_old_returns(now_us))
    whole = Subject(state=state, exposure=exposure_of(every_leg), tail=tail)
    return replace(none, state=state, legs=legs, worst=worst_by_symbol(legs.values()), whole=whole)


def _by_symbol(legs: Iterable[Leg]) -> dict[str, Leg]:
    found: dict[str, Leg] = {}
    for leg in legs:
        before = found.get(leg.symbol)
        found[leg.symbol] = leg if before is None else _added(before, leg)
    none = {"exchange": "", "opened": NO_ORDERS, "pending_notional": ZERO, "open_orders": 0}
    return {symbol: replace(found[symbol], **none) for symbol in sorted(found)}


def _added(one: Leg, other: Leg) -> Leg:
    """Return two legs of a symbol as one, at the mark of the later; an entry price in common they do not have."""
    return Leg(
        symbol=one.symbol,
        exchange="",
        quantity=one.quantity + other.quantity,
        entry_price=ZERO,
        mark=other.mark,
        opened=NO_ORDERS,
        high=one.high + other.high,
        low=one.low + other.low,
        high_value=one.high_value + other.high_value,
        low_value=one.low_value + other.low_value,
        worst_value=one.worst_value + other.worst_value,
        unrealized_pnl=one.unrealized_pnl + other.unrealized_pnl,
        margin=one.margin + other.margin,
    )
