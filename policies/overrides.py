"""How much of overrides is used: that is in the ledgers of their accounts, in the live state."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import msgspec

from policies.models import Override
from riskcore.ledger import decode_ledger
from riskcore.ports import AccountQuery, Load
from riskcore.types import OverrideUse
from state.store import StateUnavailable
from state.wiring import store


def uses_by_account(account_ids: Iterable[str]) -> dict[str, dict[str, OverrideUse]]:
    """Return what accounts have used of overrides, by their ids; an account whose ledger cannot be read is left out.

    Raises StateUnavailable.
    """
    found = {}
    for account_id in account_ids:
        (view,) = store().load(Load(accounts=(AccountQuery(account_id=account_id),))).accounts
        with suppress(msgspec.MsgspecError):
            found[account_id] = decode_ledger(view.ledger).overrides
    return found


def use_in_words(override: Override) -> str:
    """Return how much of an override is used, for people."""
    try:
        uses = uses_by_account([override.account_id]).get(override.account_id)
    except StateUnavailable:
        uses = None
    if uses is None:
        return "not known: the live state cannot be read"
    used = uses.get(str(override.pk), OverrideUse())
    return f"{used.orders:,} of {override.max_orders:,} orders, {used.quantity:,f} in all, worth {used.notional:,f}"
