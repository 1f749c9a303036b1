"""Ending a reservation before its time, as steps for a store."""

from __future__ import annotations

from collections.abc import Generator
from decimal import localcontext

import msgspec

from riskcore.decimals import EXACT
from riskcore.journal import ReleaseEntry
from riskcore.ledger import decode_ledger, encode_ledger, release
from riskcore.ports import AccountChange, AccountQuery, AccountView, Commit, Committed, Load, Loaded
from riskcore.types import Ledger, Reservation

_encoder = msgspec.json.Encoder()

# Tries before a release gives way to the checks that keep changing the account.
_ATTEMPTS = 64


class NotReleased(Exception):
    """The reservation could not be ended: it is gone, or the account never stood still; nothing was changed."""


def release_steps(
    account_id: str, order_id: str, *, actor: str, reason: str
) -> Generator[Load | Commit, Loaded | Committed, Reservation]:
    """End an order's reservation: it leaves the account's sums and the release is journaled, in one write.

    Returns what was released. Raises NotReleased where there is no such reservation, or the account's ledger
    cannot be read, or the account changed at every attempt.
    """
    load = Load(accounts=(AccountQuery(account_id=account_id, reservations=(order_id,)),))
    reply = yield load
    for _attempt in range(_ATTEMPTS):
        assert isinstance(reply, Loaded)
        held = reply.accounts[0].reservations.get(order_id)
        if held is None:
            raise NotReleased(f"order_id {order_id}: account {account_id} holds no reservation for it")
        reply = yield Commit(
            expect=None,
            changes=(_without(held, reply.accounts[0]),),
            journal=(release_entry(held, actor=actor, reason=reason, now_us=reply.now_us),),
            reload=load,
        )
        if isinstance(reply, Committed):
            return held
    raise NotReleased(f"order_id {order_id}: the account changed at every attempt; try again")


def _without(held: Reservation, view: AccountView) -> AccountChange:
    try:
        ledger = released(decode_ledger(view.ledger), (held,))
    except (msgspec.MsgspecError, ValueError) as error:
        raise NotReleased(f"order_id {held.order_id}: {error}") from None
    return AccountChange(
        account_id=held.account_id, expected_version=view.version, ledger=encode_ledger(ledger), remove=(held,)
    )


def released(ledger: Ledger, reservations: tuple[Reservation, ...]) -> Ledger:
    """Return the ledger without these reservations. Raises ValueError where one is not in its sums."""
    with localcontext(EXACT):
        return release(ledger, reservations)


def release_entry(held: Reservation, *, actor: str, reason: str, now_us: int) -> bytes:
    """Return the journal entry of a reservation that ends before its time."""
    return _encoder.encode(
        ReleaseEntry(
            decision_id=held.decision_id,
            account_id=held.account_id,
            order_id=held.order_id,
            actor=actor,
            reason=reason,
            now_us=now_us,
        )
    )
