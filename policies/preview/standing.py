"""Reads the accounts from the live state and looks at them under two books."""

from __future__ import annotations

import logging
from collections.abc import Callable
from decimal import localcontext

from policies.preview.accounts import Look
from policies.preview.firm import Firm
from policies.preview.impact import Accounts
from riskcore.compiled import CompiledBook
from riskcore.decimals import EXACT
from riskcore.firm import FIRM
from riskcore.held import Feed
from riskcore.ports import AccountView
from riskcore.types import Price, Reservation
from state.changes import UNKNOWN, AccountRecord
from state.store import EXPIRED_LIMIT, Store

logger = logging.getLogger(__name__)


def look_at_accounts(
    store: Store, in_force: CompiledBook, proposed: CompiledBook, told: Callable[[int], None]
) -> Accounts:
    """Return how the accounts stand under both books. `told` is told how many were looked at. Raises StateUnavailable.

    Those are looked at that may stand otherwise.
    """
    look = Look(in_force, proposed)
    concerned = look.concerned()
    if not concerned:
        return look.accounts()
    firm, prices, now_us, done = Firm(look.changes), store.all_prices(), 0, 0
    with localcontext(EXACT):
        for part in store.changed("", dict.fromkeys(concerned, UNKNOWN)):
            now_us, feed = part.now_us, Feed(prices, part.now_us, proposed.parameters)
            for record in part.records:
                _take(store, record, prices, feed, look, firm)
            done += len(part.records)
            told(done)
        found = firm.readings(now_us)
        if found is not None:
            look.add_readings(FIRM, *found)
    return look.accounts()


def _take(store: Store, record: AccountRecord, prices: dict[str, Price], feed: Feed, look: Look, firm: Firm) -> None:
    try:
        expired = expired_of(store, record, feed.now_us)
        firm.add(record, expired, feed)
        look.add(view_of(record, prices), expired, feed.now_us)
    except (ValueError, ArithmeticError) as error:
        look.leave_out()
        logger.warning("account %s is left out of a preview: %s", record.account_id, error)


def expired_of(store: Store, record: AccountRecord, now_us: int) -> tuple[Reservation, ...]:
    """Return all reservations that are over, of which a record has some only where they are many."""
    if len(record.expired) < EXPIRED_LIMIT:
        return record.expired
    return tuple(held for held in store.reservations(record.account_id) if held.expires_at_us <= now_us)


def view_of(record: AccountRecord, prices: dict[str, Price]) -> AccountView:
    """Return the account of a record as a load finds it, as far as a picture of it needs."""
    return AccountView(
        account_id=record.account_id,
        version=record.version,
        state=record.state,
        ledger=record.ledger,
        prices=prices,
        answers={},
        expired=record.expired,
        own_bids={},
        own_asks={},
    )
