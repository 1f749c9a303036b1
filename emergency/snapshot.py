"""The accounts in a stop's scope as they are at this moment."""

from __future__ import annotations

import logging

import msgspec

from emergency.notes import AccountThen
from riskcore.case import decode_state
from riskcore.ledger import decode_ledger
from riskcore.ports import AccountQuery, AccountView, StopScope
from state.many import load_many
from state.store import StateUnavailable, Store

logger = logging.getLogger(__name__)


def take_snapshot(store: Store, scope: StopScope, scope_id: str) -> list[AccountThen]:
    """Return the accounts that a stop of this scope concerns: never more than can be read, and never an error.

    A stop of a symbol or an exchange concerns who holds or orders there; one of a strategy may concern anybody.
    """
    try:
        ids = (scope_id,) if scope is StopScope.ACCOUNT else store.account_ids()
        views = [
            view
            for loaded in load_many(store, (AccountQuery(account_id=each) for each in ids))
            for view in loaded.accounts
        ]
    except StateUnavailable as error:
        logger.warning("the accounts at the moment of the stop are not recorded: %s", error)
        return []
    return [
        AccountThen(account_id=view.account_id, version=view.version, state=(view.state or b"").decode())
        for view in views
        if view.version and _is_concerned(view, scope, scope_id)
    ]


def _is_concerned(view: AccountView, scope: StopScope, scope_id: str) -> bool:
    if scope not in (StopScope.SYMBOL, StopScope.EXCHANGE):
        return True
    try:
        held = () if view.state is None else decode_state(view.state).positions.values()
        opened = decode_ledger(view.ledger).open.values()
    except (msgspec.MsgspecError, ValueError, ArithmeticError):
        return True  # nobody knows
    places = [(each.symbol, each.exchange) for each in (*held, *opened)]
    if scope is StopScope.SYMBOL:
        return any(symbol == scope_id for symbol, _ in places)
    return any(exchange in (scope_id, "") for _, exchange in places)
