"""Messages counted for limits that did not count them when the decisions were taken."""

from __future__ import annotations

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from riskcore.book import Policy
from riskcore.compiled import CompiledBook
from riskcore.decide import Outcome
from riskcore.journal import Inputs
from riskcore.ledger import decode_ledger, encode_ledger
from riskcore.metrics import MESSAGE_CONTROLS
from riskcore.types import Ledger, RateWindow

_NULL = b"null"


class Counting:
    """Gives each decision the counts that its account would have had by then, for limits that count anew.

    A recorded ledger has the messages that were counted under the book of its time. A proposed limit on their number
    that the book in force does not count in the same way finds none there, so they are counted here, from the first
    decision that is replayed on. Decisions come in the order in which they were taken.

    Parameters
    ----------
    in_force, proposed
        The books.
    """

    def __init__(self, in_force: CompiledBook, proposed: CompiledBook) -> None:
        known = {policy.id: _way_of(policy) for policy in in_force.book.policies}
        self._policies = frozenset(
            policy.id
            for policy in proposed.book.policies
            if policy.metric in MESSAGE_CONTROLS and known.get(policy.id) != _way_of(policy)
        )
        self._windows: dict[str, dict[str, RateWindow]] = {}

    def __bool__(self) -> bool:
        return bool(self._policies)

    def with_counts(self, inputs: Inputs) -> Inputs:
        """Return the inputs with what has been counted for their account; an unreadable ledger stays as it is."""
        windows = self._windows.get(inputs.order.account_id)
        if not windows:
            return inputs
        content = bytes(inputs.ledger)
        try:
            ledger = Ledger() if content == _NULL else decode_ledger(content)
        except msgspec.MsgspecError:
            return inputs
        # What was counted then, over the same window, has also what came before the first decision.
        then = {key: one for key, one in ledger.rates.items() if _counts_alike(one, windows.get(key))}
        return replace(inputs, ledger=Raw(encode_ledger(replace(ledger, rates={**windows, **then}))))

    def keep(self, inputs: Inputs, outcome: Outcome) -> None:
        """Take over what the decision under the proposed book has counted."""
        if outcome.ledger is None:
            return
        counted = {key: one for key, one in outcome.ledger.rates.items() if key.partition(":")[0] in self._policies}
        if counted:
            self._windows[inputs.order.account_id] = counted


def _way_of(policy: Policy) -> tuple[object, ...]:
    """Return what says which messages are counted for a policy, and in which windows."""
    hours = policy.active, policy.effective_from_us, policy.effective_until_us
    return policy.metric, policy.window_s, policy.scope, policy.scope_ids, hours


def _counts_alike(one: RateWindow, other: RateWindow | None) -> bool:
    return other is None or one.slice_us == other.slice_us
