"""The firm at a glance: its figures and its risk signal, worked out at most every second, however many ask."""

from __future__ import annotations

import time

from msgspec import Struct

from api.lasting import Lasting
from api.reading import in_force_now
from feeds.standing import standings
from riskcore.overview import AccountOverview
from riskcore.signal import GlobalSignal, firm_overview, glance_of, global_signal, read_account, read_firm
from state.store import Store

# Seconds. A thousand accounts of ten positions take about a quarter of one.
_LIFE_S = 1.0


class Firm(Struct, frozen=True):
    """The sums over all accounts as one account, and the signal that comes of them."""

    overview: AccountOverview
    signal: GlobalSignal


def _look(store: Store) -> Firm:
    of = in_force_now(store)
    pictures = [standing.picture for standing in standings(store, of.book)]
    now_us = max((picture.now_us for picture in pictures), default=time.time_ns() // 1000)
    whole = read_firm(pictures, of.book, now_us)
    accounts = (glance_of(read_account(picture)) for picture in pictures)
    return Firm(firm_overview(whole, of.stops), global_signal(accounts, glance_of(whole), of.book, now_us))


_lasting = Lasting(_look, _LIFE_S)


def firm(store: Store) -> Firm:
    """Return the firm of not more than a second ago. Raises StateUnavailable, and Problem 503 before a restore."""
    return _lasting(store)
