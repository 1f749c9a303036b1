"""Each second: who of those that hold a lease is silent, and what comes of it (decision 0019).

A silence that is noticed is written into the lease first, with the accounts that are to be stopped for it. So it is
noticed once, and whatever dies in between, the next look does the rest. Then come the stops, the alerts, the record.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

from django.db import DatabaseError, InterfaceError
from msgspec.structs import replace

from emergency.flags import now_us
from emergency.lease_stops import reduce_accounts
from emergency.leases import Kept, Lease, kept_leases, swap
from monitoring.lease_records import keep_records
from monitoring.turns import TooLate, Turn
from riskcore.book import PolicyType
from riskcore.calendar import moment
from state.store import Store
from violations.faults import SILENCE, fault, tell_faults
from violations.observations import Observation

logger = logging.getLogger(__name__)

PART = "system.lease"
TURN, WATCHED = "oms-leases", "oms-leases-watched"

# After how long another process takes over from one that died while it looked.
_TURN_US = 5_000_000

# Where nobody has looked for so long, something was away that an OMS may need for renewing its lease.
_INTERRUPTION_US = 5_000_000

# Accounts that are stopped before it is asked again whose turn it is, and those that an alert names.
_TOGETHER, _NAMED = 20, 5


class Outcome(StrEnum):
    """How a look ended."""

    LOOKED = "looked"
    ELSEWHERE = "elsewhere"
    RECOVERING = "recovering"
    TOO_LATE = "too_late"


def look_at_leases(live: Store) -> Outcome:
    """Notice who is silent, stop their accounts where that is so configured, tell and record. Raises StateUnavailable.

    Any number of processes may call it at once: one at a time notices and stops, and does not wait for the database.
    """
    turn = Turn(live, TURN, _TURN_US)
    if not turn.begin():
        return Outcome.ELSEWHERE
    try:
        if live.control() is None:
            return Outcome.RECOVERING
        at_us = now_us(live)
        kept = _notice(live, turn, at_us)
    except TooLate:
        return Outcome.TOO_LATE
    finally:
        turn.end()
    tell_faults(PART, list(_silences(kept.values(), at_us)), moment(at_us))
    try:
        keep_records(live, at_us)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("leases are not recorded for now: %s", error)
    return Outcome.LOOKED


def _notice(live: Store, turn: Turn, at_us: int) -> dict[str, Kept]:
    """Return all leases, after their silence was noticed and what is to be stopped for it is stopped."""
    # The same token for as long as somebody looks: it says since when that has been so without a break.
    since_us = live.hold_lease(WATCHED, "everybody", _INTERRUPTION_US) or at_us
    found: dict[str, Kept] = {}
    for holder, each in sorted(kept_leases(live).items()):
        if each.lease is None:
            logger.error("the lease of %s cannot be read; its holder writes it anew with the next renewal", holder)
        found[holder] = _noticed(live, each, at_us, since_us)
    return {holder: _stop(live, turn, each) for holder, each in found.items()}


def _noticed(live: Store, kept: Kept, at_us: int, since_us: int) -> Kept:
    """Return a lease with its silence written into it, if it has run out and nobody has noticed yet.

    After an interruption everybody has the whole time again: an OMS that could not renew was not silent.
    """
    lease = kept.held
    if lease is None or lease.silent_since_us or at_us <= max(lease.ends_at_us, since_us + lease.ttl_us):
        return kept
    to_stop = {*lease.to_stop, *(lease.accounts if lease.reduces else ())}
    silent = replace(lease, silent_since_us=lease.ends_at_us, to_stop=tuple(sorted(to_stop)))
    return swap(live, kept, silent) or kept_leases(live, kept.holder)[kept.holder]


def _stop(live: Store, turn: Turn, kept: Kept) -> Kept:
    """Stop what a lease says is to be stopped, and return it as it is then."""
    while kept.lease is not None and kept.lease.to_stop:
        some = kept.lease.to_stop[:_TOGETHER]
        turn.go_on()
        reduce_accounts(live, kept.lease, some)
        kept = _settled(live, kept, frozenset(some))
    return kept


def _settled(live: Store, kept: Kept, stopped: frozenset[str]) -> Kept:
    """Write into a lease that these accounts are stopped; its holder may renew it meanwhile."""
    while kept.lease is not None:
        left = tuple(each for each in kept.lease.to_stop if each not in stopped)
        written = swap(live, kept, replace(kept.lease, to_stop=left))
        if written is not None:
            return written
        kept = kept_leases(live, kept.holder)[kept.holder]
    return kept


def _silences(kept: Iterable[Kept], at_us: int) -> Iterable[Observation]:
    for each in kept:
        if each.held is not None and each.held.silent_since_us:
            yield _silence(each.held, at_us)


def _silence(lease: Lease, at_us: int) -> Observation:
    silent_us = at_us - lease.renewed_at_us
    then = "; they may only reduce until somebody re-enables them" if lease.reduces else ""
    return fault(
        PART,
        lease.holder,
        name="OMS lease",
        level=PolicyType.HARD,
        account_id=lease.accounts[0] if len(lease.accounts) == 1 else "",
        metric=SILENCE,
        value=Decimal(silent_us) / 1_000_000,
        threshold=Decimal(lease.ttl_us) / 1_000_000,
        message=f"The OMS {lease.holder} has been silent for {silent_us / 1_000_000:.0f} s, and its lease is for"
        f" {lease.ttl_us // 1_000_000} s. It trades {_named(lease.accounts)}{then}.",
        at=moment(at_us),
    )


def _named(accounts: tuple[str, ...]) -> str:
    more = f" and {len(accounts) - _NAMED} more" if len(accounts) > _NAMED else ""
    return ", ".join(accounts[:_NAMED]) + more
