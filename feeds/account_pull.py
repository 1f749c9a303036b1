"""Brings accounts' states from the Account Monitor into the live state, as if they had been pushed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

import msgspec

from feeds import pull_metrics
from feeds.books import CompiledBooks, in_force
from feeds.pull_metrics import MonitorResult
from feeds.seldom import Seldom
from riskcore.book import Account, Parameters
from riskcore.case import decode_state
from riskcore.compiled import CompiledBook
from riskcore.fills import symbols_of
from riskcore.intake import NotApplied, readable_ledger
from riskcore.ports import AccountQuery, AccountView, Load
from riskcore.report import AccountReport, report_steps
from riskcore.types import AccountState
from state.driver import run_sync
from state.pace import Pace
from state.store import StateUnavailable, Store

logger = logging.getLogger(__name__)


class NoState(Exception):
    """There is no state to be had, or none that can be used. The text says why, for people."""

    def __init__(self, result: MonitorResult, text: str) -> None:
        super().__init__(text)
        self.result = result


class Monitor(Protocol):
    """Whom to ask for the state of an account."""

    def report(self, account_id: str, *, home_exchange: str) -> AccountReport:
        """Return the state as a push would bring it. Raises NoState."""
        ...


class AccountPull:
    """Makes the state of accounts fresh, and tells what symbols they need prices of; for threads.

    Whatever goes wrong changes nothing: the state that is there grows old, and blocks by itself.

    Parameters
    ----------
    store
        The live state.
    books
        The compiled books of the process.
    monitor
        Whom to ask; None: nobody.
    with_symbols
        Whether the symbols are wanted.
    """

    def __init__(self, store: Store, books: CompiledBooks, monitor: Monitor | None, *, with_symbols: bool) -> None:
        self._store, self._books, self._monitor, self._with_symbols = store, books, monitor, with_symbols
        # Of its own: to lose an account to a check, or to take it from one, says nothing of how busy others are there.
        self._pace = Pace()
        self._seldom = Seldom(logger)

    def bring(self, account_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Bring the state of accounts, and return the symbols that each holds or has orders in, if wanted."""
        return {account_id: self._bring(account_id) for account_id in account_ids}

    def _bring(self, account_id: str) -> tuple[str, ...]:
        try:
            if self._monitor is not None:
                self._ask(account_id, self._monitor)
            return _symbols(self._view(account_id)) if self._with_symbols else ()
        except StateUnavailable as error:
            self._seldom.warn("the state of account %s was not brought: %s", account_id, error)
            return ()

    def _ask(self, account_id: str, monitor: Monitor) -> None:
        book = self._book_with(account_id)
        account = book.accounts.get(account_id) if book is not None else None
        if book is None or account is None or not account.enabled:
            return  # its orders are blocked, whatever it holds
        try:
            result = self._take(account, book.parameters, monitor)
        except NoState as error:
            result = error.result
            if result is not MonitorResult.NOT_CALLED:
                self._seldom.warn("no state of account %s: %s", account_id, error)
        except NotApplied as error:
            result = MonitorResult.NOT_KEPT
            self._seldom.warn("the state of account %s was not taken: %s", account_id, error)
        except StateUnavailable:
            pull_metrics.count_call(MonitorResult.NOT_KEPT)
            raise
        pull_metrics.count_call(result)

    def _take(self, account: Account, parameters: Parameters, monitor: Monitor) -> MonitorResult:
        report = monitor.report(account.id, home_exchange=account.exchange)
        steps = report_steps(report, parameters, pulled=True)
        taken = run_sync(steps, self._store, self._books, self._pace)
        return MonitorResult.TAKEN if taken.is_new else MonitorResult.KNOWN

    def _book_with(self, account_id: str) -> CompiledBook | None:
        """Return the book that knows an account, the newest one if need be; None while approvals are held back."""
        book = self._books.last
        if book is not None and account_id in book.accounts:
            return book
        control = self._store.control()
        return None if control is None else in_force(control.book_version, self._store, self._books)

    def _view(self, account_id: str) -> AccountView:
        return self._store.load(Load(accounts=(AccountQuery(account_id=account_id),))).accounts[0]


def _state(view: AccountView) -> AccountState | None:
    try:
        return None if view.state is None else decode_state(view.state)
    except msgspec.MsgspecError:
        return None


def _symbols(view: AccountView) -> tuple[str, ...]:
    """Return what an account needs prices of; nothing where its records are unreadable, which blocks it anyway."""
    state = _state(view)
    return () if state is None else symbols_of(state, readable_ledger(view))
