"""Published messages into the live state, each once: what the listener does in tasks and a replay in a thread."""

from __future__ import annotations

from collections.abc import Generator
from enum import StrEnum

from msgspec import Struct

from emergency.answers import PROGRESS, Unreadable
from emergency.progress import take_progress
from feeds.apply import apply_prices
from feeds.books import CompiledBooks
from feeds.malformed import Malformed
from feeds.published import TICKS, AccountMessage, at_home, read_message, read_tick
from riskcore.book import Account, Parameters
from riskcore.compiled import CompiledBook
from riskcore.fills import close_steps, fill_steps
from riskcore.flow import Fill, OrderClosed
from riskcore.intake import Taken
from riskcore.ports import Commit, Committed, Load, Loaded
from riskcore.report import PositionsReport, pnl_steps, positions_steps
from state.driver import run_sync
from state.store import Store

Steps = Generator[Load | Commit, Loaded | Committed, Taken]


class Outcome(StrEnum):
    """What became of a message. KNOWN: it came before, or a newer one did. UNKNOWN: nobody knows its account."""

    TAKEN = "taken"
    KNOWN = "known"
    UNKNOWN = "unknown_account"
    DEAD = "dead_letter"


class Intake(Struct, frozen=True):
    """What became of a message, and how many of its numbers are missing before it."""

    outcome: Outcome
    missed: int = 0


def intake_of(taken: Taken) -> Intake:
    """Return what became of a message that was taken into its account."""
    return Intake(Outcome.TAKEN if taken.is_new else Outcome.KNOWN, taken.missed)


def steps_of(message: AccountMessage, account: Account, parameters: Parameters) -> Steps:
    """Return the steps that take a message into its account. Raises Malformed where its positions clash."""
    message = at_home(message, account.exchange)
    if isinstance(message, Fill):
        return fill_steps(message, parameters, home_exchange=account.exchange)
    if isinstance(message, OrderClosed):
        return close_steps(message)
    if isinstance(message, PositionsReport):
        return positions_steps(message)
    return pnl_steps(message, parameters)


def take(
    subject: str, payload: bytes, store: Store, books: CompiledBooks, book: CompiledBook, *, now_us: int
) -> Intake:
    """Take one published message, from a thread.

    Raises Malformed where it is not understood, NotApplied where its account cannot take it, StateUnavailable.
    """
    if subject == PROGRESS:
        return take_execution(payload, store)
    if subject.startswith(TICKS):
        applied = apply_prices(store, [read_tick(subject, payload, now_us=now_us)])
        return Intake(Outcome.TAKEN if applied else Outcome.KNOWN)
    message = read_message(subject, payload, now_us=now_us)
    account = book.accounts.get(message.account_id)
    if account is None:
        return Intake(Outcome.UNKNOWN)
    return intake_of(run_sync(steps_of(message, account, book.parameters), store, books))


def take_execution(payload: bytes, store: Store) -> Intake:
    """Take a message of an OMS about what an emergency stop has asked for, from a thread.

    KNOWN: its stop is over. Raises Malformed and StateUnavailable.
    """
    try:
        return Intake(Outcome.TAKEN if take_progress(store, payload) else Outcome.KNOWN)
    except Unreadable as error:
        raise Malformed.of("body", str(error), "no_progress") from None
