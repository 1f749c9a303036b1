"""Accounts as they stand in the live state, worked out for people and programs that read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from api import errors
from emergency.flags import now_us
from emergency.leases import kept_leases
from feeds.books import BOOKS, in_force
from riskcore.compiled import CompiledBook
from riskcore.overview import AccountOverview, overview
from riskcore.ports import AccountQuery, AccountView, Control, Load, Stop
from riskcore.types import Reservation
from state.many import load_many
from state.store import EXPIRED_LIMIT, StateUnavailable, Store

_ATTEMPTS = 5


class InForce(Struct, frozen=True):
    """What every account is read under."""

    control: Control
    book: CompiledBook

    @property
    def stops(self) -> tuple[Stop, ...]:
        """Return the stops in force."""
        return self.control.stops


def in_force_now(store: Store) -> InForce:
    """Return the control and the book. Raises Problem 503 where the live state is not restored yet."""
    control = store.control()
    if control is None:
        raise errors.recovering()
    return InForce(control, in_force(control.book_version, store, BOOKS))


def overviews(
    store: Store, of: InForce, account_ids: Iterable[str], *, tail: bool = False
) -> Iterator[AccountOverview]:
    """Yield accounts as they stand, in the order of lanes; those that the book does not have are left out.

    `tail`: with value at risk.
    """
    known = (AccountQuery(account_id=each) for each in account_ids if each in of.book.accounts)
    for loaded in load_many(store, known):
        for view in loaded.accounts:
            yield _overview(store, of, view, loaded.now_us, tail=tail)


def _overview(store: Store, of: InForce, view: AccountView, now_us: int, *, tail: bool) -> AccountOverview:
    """Work one account out; where a load does not bring all that has expired, ask for it separately."""
    if len(view.expired) < EXPIRED_LIMIT:
        return overview(view, of.book, now_us, stops=of.stops, tail=tail)
    for _attempt in range(_ATTEMPTS):
        over = tuple(held for held in store.reservations(view.account_id) if held.expires_at_us <= now_us)
        try:
            return overview(view, of.book, now_us, stops=of.stops, expired=over, tail=tail)
        except ValueError:
            # An order in between took some of them out of the sums: look again.
            loaded = store.load(Load(accounts=(AccountQuery(account_id=view.account_id),)))
            view, now_us = loaded.accounts[0], loaded.now_us
    raise StateUnavailable(f"account {view.account_id} changed at every attempt to read it")


def monitor_age_s(store: Store) -> float | None:
    """Return how long ago the monitor last looked at the accounts, in seconds; None where none ever did."""
    loaded = store.load(Load(accounts=()))
    return None if loaded.signal is None else (loaded.now_us - loaded.signal.at_us) / 1_000_000


def silent_leases(store: Store) -> int:
    """Return how many leases of OMSs have run out and were not released."""
    at_us = now_us(store)
    held = (each.held for each in kept_leases(store).values())
    return sum(each is not None and each.ends_at_us < at_us for each in held)


def holders(store: Store, account_ids: Iterable[str], order_id: str) -> list[Reservation]:
    """Return the reservations of an order_id in these accounts."""
    queries = (AccountQuery(account_id=each, reservations=(order_id,)) for each in account_ids)
    views = (view for loaded in load_many(store, queries) for view in loaded.accounts)
    return [held for view in views for held in view.reservations.values()]
