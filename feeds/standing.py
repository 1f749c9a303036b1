"""Every account as it stands at the moment, worked out for programs that are told rather than ask."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from decimal import localcontext

from msgspec import Struct

from riskcore.case import age_of
from riskcore.compiled import CompiledBook
from riskcore.decimals import EXACT
from riskcore.figures import value_legs
from riskcore.picture import Picture, take_picture
from riskcore.ports import AccountQuery, AccountView
from riskcore.types import AccountState, Reservation
from state.many import load_many
from state.store import EXPIRED_LIMIT, Store

logger = logging.getLogger(__name__)


class Standing(Struct, frozen=True, kw_only=True):
    """An account with a state, as it stands.

    `version` is that of its record. `picture` is worked out with prices that may be old. `fresh`: a check would take
    its state and its prices. `ends_at_us` is when its state will be too old for one.
    """

    version: int
    picture: Picture
    state: AccountState
    fresh: bool
    ends_at_us: int


def standings(store: Store, book: CompiledBook) -> Iterator[Standing]:
    """Yield the accounts of the book that have a state. Raises StateUnavailable.

    One whose record changes just now, or cannot be worked with, is left out.
    """
    for loaded in load_many(store, (AccountQuery(account_id=each) for each in book.accounts)):
        for view in loaded.accounts:
            try:
                found = _standing(view, book, loaded.now_us, _expired(store, view, loaded.now_us))
            except (ValueError, ArithmeticError) as error:
                logger.warning("account %s is left out for now: %s", view.account_id, error)
                continue
            if found is not None:
                yield found


def _expired(store: Store, view: AccountView, now_us: int) -> tuple[Reservation, ...]:
    """Return all reservations that are over, of which a view has some only where they are many."""
    if len(view.expired) < EXPIRED_LIMIT:
        return view.expired
    return tuple(held for held in store.reservations(view.account_id) if held.expires_at_us <= now_us)


def _standing(view: AccountView, book: CompiledBook, now_us: int, expired: tuple[Reservation, ...]) -> Standing | None:
    parameters = book.parameters
    with localcontext(EXACT):
        picture = take_picture(view, book, now_us, expired)
        state = picture.state
        if state is None or not state.received_at_us:
            return None
        ends_at_us = now_us + parameters.state_max_age_us - age_of(state, now_us, parameters)
        fresh = ends_at_us >= now_us and not isinstance(
            value_legs(state, picture.ledger, picture.prices, now_us, parameters), str
        )
    return Standing(version=view.version, picture=picture, state=state, fresh=fresh, ends_at_us=ends_at_us)
