"""What holds for every request, whichever store it goes to."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from riskcore.ports import AccountChange, Commit, Load
from state.keys import lane_of

_LAST_MOMENT_US = 2**53 - 1  # Redis' scripts compare moments as doubles


def lane_of_load(load: Load, lanes: int) -> int:
    """Return the lane that a Load reads. Raises ValueError where it names accounts of several."""
    return 0 if lanes == 1 else _only_lane((query.account_id for query in load.accounts), lanes)


def lane_of_commit(commit: Commit, lanes: int) -> int:
    """Return the lane that a Commit writes.

    Raises ValueError where it names accounts of several, or changes one account more than once: each change
    is compared with what is there before any is written.
    """
    changed = [change.account_id for change in commit.changes]
    if len(changed) > 1 and len(set(changed)) < len(changed):
        raise ValueError("a commit changes an account more than once")
    if lanes == 1:
        return 0
    return _only_lane((*changed, *(query.account_id for query in commit.reload.accounts)), lanes)


def counts_as_version(change: AccountChange) -> bool:
    """Return whether a change is a new version of its account."""
    return change.ledger is not None or change.state is not None or change.flow is not None or bool(change.tails)


def _only_lane(account_ids: Iterable[str], lanes: int) -> int:
    found = {lane_of(account_id, lanes) for account_id in account_ids}
    if len(found) > 1:
        raise ValueError("accounts of several lanes in one request")
    return found.pop() if found else 0


def exact_price(text: str, sent_at_us: int) -> Decimal:
    """Return the price in `text`. Raises ValueError where it, or the sender's stamp, is none."""
    try:
        price = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a price") from None
    if not price.is_finite():
        raise ValueError(f"{text!r} is not a price")
    if not 0 <= sent_at_us <= _LAST_MOMENT_US:
        raise ValueError(f"{sent_at_us} is not a moment in microseconds")
    return price
