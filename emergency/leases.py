"""The dead man's switch: an OMS holds a lease and renews it every few seconds, or else it is silent (decision 0019).

Everything is in the live state, so that it works while the database is away. `monitoring.leases` looks each second who
is silent, and brings back what a lost live state has forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from enum import StrEnum

import msgspec
from django.conf import settings
from msgspec import Struct
from msgspec.structs import replace

from emergency.errors import HeldByAnother, NoSuchLease, TooManyLeases
from emergency.flags import now_us
from state.store import StateUnavailable, Store

LONGEST_HOLDER = 64
SHORTEST_S, LONGEST_S = 2, 600
MOST_LEASES = 1_000

_ATTEMPTS = 20


class OnSilence(StrEnum):
    """What the silence of an OMS does: people are told, and with `reduce` its accounts may only reduce."""

    ALERT = "alert"
    REDUCE = "reduce"


class Lease(Struct, frozen=True, kw_only=True):
    """A lease as its holder has last renewed it; moments in us since the epoch, on the live state's clock.

    `accounts` are those it is for, each by name. `actor` is who renewed it last. `silent_since_us` is when it ran out,
    0 while nobody has noticed that it has. `to_stop` are accounts that are still to be stopped because of a silence,
    also when the holder is back since. `released_by` is who ended it in good order, empty while it is held.
    """

    holder: str
    accounts: tuple[str, ...]
    ttl_us: int
    on_silence: OnSilence
    actor: str
    granted_at_us: int
    renewed_at_us: int
    silent_since_us: int = 0
    to_stop: tuple[str, ...] = ()
    released_by: str = ""

    @property
    def ends_at_us(self) -> int:
        """Return until when its holder is not silent."""
        return self.renewed_at_us + self.ttl_us

    @property
    def reduces(self) -> bool:
        """Return whether silence stops its accounts: the stricter of what it says itself and of the settings."""
        return OnSilence.REDUCE in (self.on_silence, OnSilence(settings.RISK_LEASE_ON_SILENCE))


class Kept(Struct, frozen=True):
    """What the live state has of a lease; `lease` None: it has nothing, or what nobody can read."""

    holder: str
    content: bytes | None
    lease: Lease | None

    @property
    def held(self) -> Lease | None:
        """Return the lease if somebody holds it."""
        return None if self.lease is None or self.lease.released_by else self.lease


class Renewed(Struct, frozen=True, kw_only=True):
    """A lease that was given (`new`) or renewed. `was_silent_since_us` 0: its holder had not been found silent."""

    lease: Lease
    new: bool
    was_silent_since_us: int


_decoder = msgspec.json.Decoder(Lease)


def renew_lease(
    live: Store,
    *,
    holder: str,
    accounts: Collection[str],
    ttl_s: int,
    on_silence: OnSilence,
    actor: str,
    may_see: Callable[[str], bool],
) -> Renewed:
    """Give a lease, or renew it as it is asked for now; it runs from this moment on.

    Parameters
    ----------
    holder
        The name of the OMS, of 1 to 64 characters; a lease of this name is renewed by whoever may see its accounts.
    accounts
        What it is for, at least one.
    ttl_s
        Until when it must be renewed again, from 2 to 600 s.
    may_see
        Whether the caller is for an account.

    Raises
    ------
    HeldByAnother, TooManyLeases
        Nothing has changed.
    StateUnavailable
        It is not known to be renewed: call again.
    """
    for _ in range(_ATTEMPTS):
        kept = kept_leases(live, holder)[holder]
        before = kept.held
        _demand(before, may_see)
        if kept.content is None and len(live.oms_leases()) >= MOST_LEASES:
            raise TooManyLeases(f"There are {MOST_LEASES:,} leases already: release those that nobody needs.")
        at_us = now_us(live)
        lease = Lease(
            holder=holder,
            accounts=tuple(sorted(set(accounts))),
            ttl_us=ttl_s * 1_000_000,
            on_silence=on_silence,
            actor=actor,
            granted_at_us=at_us if before is None else before.granted_at_us,
            renewed_at_us=at_us,
            to_stop=() if kept.lease is None else kept.lease.to_stop,
        )
        if swap(live, kept, lease):
            return Renewed(
                lease=lease, new=before is None, was_silent_since_us=0 if before is None else before.silent_since_us
            )
    raise StateUnavailable("the lease kept changing")


def release_lease(live: Store, holder: str, *, actor: str, may_see: Callable[[str], bool]) -> Lease:
    """End a lease in good order: nobody is alarmed, and an alarm that there was is over. Returns it as it was.

    Raises NoSuchLease, HeldByAnother, and StateUnavailable, after which it may or may not have ended.
    """
    for _ in range(_ATTEMPTS):
        kept = kept_leases(live, holder)[holder]
        lease = kept.held
        if lease is None:
            raise NoSuchLease(f"Nobody holds a lease by the name of {holder}.")
        _demand(lease, may_see)
        # Not forgotten yet: what is missing is taken for lost, and brought back from its record.
        if swap(live, kept, replace(lease, released_by=actor)):
            return lease
    raise StateUnavailable("the lease kept changing")


def kept_leases(live: Store, *holders: str) -> dict[str, Kept]:
    """Return what the live state has of these leases, each of them, or of all that it has. Raises StateUnavailable."""
    found = live.oms_leases(*holders)
    return {holder: Kept(holder, found.get(holder), _read(found.get(holder))) for holder in holders or found}


def swap(live: Store, seen: Kept, lease: Lease | None) -> Kept | None:
    """Write a lease in the place of what was seen, None: forget it. Returns what is there now, None if it was not."""
    content = None if lease is None else msgspec.json.encode(lease)
    return Kept(seen.holder, content, lease) if live.swap_oms_lease(seen.holder, seen.content, content) else None


def _read(content: bytes | None) -> Lease | None:
    try:
        return None if content is None else _decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _demand(lease: Lease | None, may_see: Callable[[str], bool]) -> None:
    if lease is not None and not all(map(may_see, lease.accounts)):
        raise HeldByAnother(f"The lease of {lease.holder} is for accounts that the caller is not for.")
