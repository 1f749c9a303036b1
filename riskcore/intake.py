"""Taking a message about an account into the store: each one once, in one write, whatever happens beside it."""

from __future__ import annotations

from collections.abc import Callable, Generator

import msgspec
from msgspec import Struct

from riskcore.case import decode_state
from riskcore.flow import FlowRecord, decode_flow, without_state
from riskcore.ledger import decode_ledger
from riskcore.ports import AccountChange, AccountQuery, AccountView, Commit, Committed, Load, Loaded
from riskcore.types import AccountState, Ledger

# Tries before a message gives way to the checks that keep changing the account.
_ATTEMPTS = 64

_encoder = msgspec.json.Encoder()


class NotApplied(Exception):
    """The message was not taken; nothing was changed. The text says what to do."""


class Taken(Struct, frozen=True, kw_only=True, gc=False):
    """What became of a message. `change` None: it was known already, or older than what is known.

    `journal` are entries to be written with the change. `missed`: how many numbers are missing before it.
    `wanted`: reservations that must be looked at first; the message is then looked at again.
    """

    change: AccountChange | None = None
    journal: tuple[bytes, ...] = ()
    missed: int = 0
    wanted: tuple[str, ...] = ()

    @property
    def is_new(self) -> bool:
        """Return whether it changed anything."""
        return self.change is not None


KNOWN = Taken()

# Works out what a message changes, from an account, the present moment in microseconds, and the order_ids whose
# reservations were looked for.
Take = Callable[[AccountView, int, frozenset[str]], Taken]


def intake_steps(query: AccountQuery, take: Take) -> Generator[Load | Commit, Loaded | Committed, Taken]:
    """Take a message into the account of the query; return what became of it.

    Raises NotApplied where the account changed at every attempt, and what `take` raises.
    """
    load, looked_at = Load(accounts=(query,)), frozenset(query.reservations)
    reply = yield load
    for _attempt in range(_ATTEMPTS):
        assert isinstance(reply, Loaded)
        taken = take(reply.accounts[0], reply.now_us, looked_at)
        if taken.wanted:
            looked_at = frozenset(taken.wanted)
            load = Load(accounts=(msgspec.structs.replace(query, reservations=taken.wanted),))
            reply = yield load
            continue
        if taken.change is None:
            return taken
        reply = yield Commit(expect=None, changes=(taken.change,), journal=taken.journal, reload=load)
        if isinstance(reply, Committed):
            return taken
    raise NotApplied(f"account {query.account_id} changed at every attempt; send the message again")


class Records(Struct, frozen=True, gc=False):
    """The records of an account, read. `state` is older than any order takes where nothing was reported."""

    state: AccountState
    ledger: Ledger
    flow: FlowRecord


def read_records(view: AccountView) -> Records:
    """Return the records of an account. Raises NotApplied where one cannot be read."""
    try:
        return Records(
            without_state(view.account_id) if view.state is None else decode_state(view.state),
            decode_ledger(view.ledger),
            decode_flow(view.flow),
        )
    except (msgspec.MsgspecError, ValueError) as error:
        raise NotApplied(
            f"the records of account {view.account_id} cannot be read ({error}): report its whole state"
        ) from None


def readable_ledger(view: AccountView) -> Ledger | None:
    """Return the ledger of an account; None where it cannot be read, which no report mends."""
    try:
        return decode_ledger(view.ledger)
    except msgspec.MsgspecError:
        return None


def encode_state(state: AccountState) -> bytes:
    """Return the state as JSON."""
    return _encoder.encode(state)
