"""Writes an account's ledger and reservations back into a live state, besides whatever is there."""

from __future__ import annotations

from decimal import localcontext

import msgspec

from riskcore.decimals import EXACT
from riskcore.ledger import decode_ledger, encode_ledger, reserve
from riskcore.ports import AccountChange, AccountQuery, AccountView, Commit, Committed, Load, Loaded
from riskcore.types import Ledger, Reservation
from riskportal.rebuild import Rebuilt
from state.store import StateUnavailable, Store

_ATTEMPTS = 64


def put_back(store: Store, account_id: str, rebuilt: Rebuilt) -> int:
    """Write what is missing of an account and return how many reservations were.

    What is there stays: of an attempt that was broken off, or of a live state that lost its control alone. So
    this may be repeated. Raises StateUnavailable.
    """
    load = Load(accounts=(AccountQuery(account_id=account_id),))
    reply: Loaded | Committed = store.load(load)
    for _attempt in range(_ATTEMPTS):
        assert isinstance(reply, Loaded)
        change = _missing(reply.accounts[0], store.reservations(account_id), rebuilt)
        if change is None:
            return 0
        reply = store.commit(Commit(expect=None, changes=(change,), journal=(), reload=load))
        if isinstance(reply, Committed):
            return len(change.add)
    raise StateUnavailable(f"account {account_id} changed at every attempt to restore it")


def _missing(view: AccountView, held: tuple[Reservation, ...], rebuilt: Rebuilt) -> AccountChange | None:
    known = {one.order_id for one in held}
    missing = tuple(one for one in rebuilt.reservations if one.order_id not in known)
    ledger = _readable(view.ledger)
    if ledger is not None and not missing:
        return None
    with localcontext(EXACT):
        if ledger is None:
            ledger = msgspec.structs.replace(rebuilt.ledger, open={})
            for one in held:
                ledger = reserve(ledger, one)
        for one in missing:
            ledger = reserve(ledger, one)
    return AccountChange(
        account_id=view.account_id,
        expected_version=view.version,
        ledger=encode_ledger(ledger),
        add=missing,
        symbols=tuple(dict.fromkeys(one.symbol for one in missing)),
    )


def _readable(content: bytes | None) -> Ledger | None:
    if content is None:
        return None
    try:
        return decode_ledger(content)
    except msgspec.MsgspecError:
        return None
