"""Works a preview out: the decisions of its window, and the accounts as they stand."""

from __future__ import annotations

import time
from collections.abc import Callable

from policies.book import loaded
from policies.models import Book
from policies.preview.assumed import as_if_in_force
from policies.preview.impact import Impact, Orders, Tally
from policies.preview.replay import Replay
from policies.preview.since import Since
from policies.preview.standing import look_at_accounts
from policies.preview.window import Window, count_rejects, decisions_of
from riskcore.calendar import microseconds, moment
from riskcore.compiled import CompiledBook
from riskcore.ports import Load
from state.store import Store

# So often somebody is told how far it has come, in decisions. It is also how soon a cancelled one ends.
_TOLD_EVERY = 250

Told = Callable[[int], None]


def work_out(window: Window, in_force: CompiledBook, proposed: CompiledBook, store: Store, told: Told) -> Impact:
    """Return what the proposed book would change.

    `told` is told how many decisions and accounts were looked at, and may raise to end it. Raises StateUnavailable, and
    Django's database errors.
    """
    started = time.monotonic()
    assumed, notes = as_if_in_force(in_force.book, proposed.book, store.load(Load(accounts=())).now_us)
    proposed = CompiledBook(assumed) if notes else proposed
    orders = replay_decisions(window, in_force, proposed, told)
    accounts = look_at_accounts(store, in_force, proposed, lambda done: told(orders.replayed + done))
    seconds = round(time.monotonic() - started, 3)
    return Impact(orders=orders, accounts=accounts, notes=notes, seconds=seconds)


def replay_decisions(window: Window, in_force: CompiledBook, proposed: CompiledBook, told: Told) -> Orders:
    """Return what comes of the decisions of a window."""
    replay = Replay(in_force, proposed, Since(in_force, _alike_to(in_force), loaded))
    tally = Tally()
    for decision in decisions_of(window):
        found = replay.of(decision.inputs, decision.answer)
        tally.add(decision.decision_id, microseconds(decision.decided_at), found)
        if not tally.replayed % _TOLD_EVERY:
            told(tally.replayed)
    first = moment(tally.since_us) if tally.since_us else window.since
    return tally.orders(rejects=count_rejects(first, window.until))


def _alike_to(book: CompiledBook) -> frozenset[int]:
    """Return the versions of published books that say the same as this one, which is published too."""
    hashes = Book.objects.filter(version=book.version).values("sha256")
    return frozenset(Book.objects.filter(sha256__in=hashes).values_list("version", flat=True))
