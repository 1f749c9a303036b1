"""Reading all accounts again and again: only those come that are not as they are known."""

from __future__ import annotations

from msgspec import Struct

from riskcore.types import Reservation

# The edition of what is not known.
UNKNOWN = ""


class AccountRecord(Struct, frozen=True, kw_only=True):
    """What is kept of an account, as it is kept.

    `edition` names it: it is another one after each change, and where a reservation is over that was not before.
    `version` is 0, and `state` None, where the account was never written. `expired` are at most EXPIRED_LIMIT of the
    reservations that are over and still in the ledger's sums.
    """

    account_id: str
    edition: str
    version: int
    state: bytes | None
    ledger: bytes | None
    expired: tuple[Reservation, ...]


class Changed(Struct, frozen=True, kw_only=True):
    """Those of some accounts that are not as they were known, as of `now_us`.

    `generation` names the life of the store that they are of, empty where it has lost its memory: an edition of
    another life says nothing.
    """

    now_us: int
    generation: str
    records: tuple[AccountRecord, ...]
