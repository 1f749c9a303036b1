"""What the doors of a process share, for threads: the store, the good keys and the queues of accounts."""

from __future__ import annotations

from api.keyring import KeyRing
from feeds.pull import pull_into
from state.driver import ThreadTurns
from state.store import Store
from state.wiring import store


class Desk:
    """The store as threads use it, and what goes with it."""

    def __init__(self, of: Store) -> None:
        self.store = of
        self.keys = KeyRing(of)
        self.turns = ThreadTurns()
        self.pull = pull_into(of)


_desk: Desk | None = None


def desk() -> Desk:
    """Return the desk of the process's store, a new one where that was built anew."""
    global _desk  # noqa: PLW0603 - a memo: two threads that race for it only make it twice
    known, current = _desk, store()
    if known is None or known.store is not current:
        known = _desk = Desk(current)
    return known
