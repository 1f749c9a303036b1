"""Which emergency policies are breached in the scope of a stop, by what is known of its accounts now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import localcontext

import msgspec

from emergency.flags import now_us
from riskcore.book import Account, PolicyType, Scope, decode_book
from riskcore.compiled import CompiledBook
from riskcore.decimals import EXACT
from riskcore.limits import Finding, describe
from riskcore.picture import Picture, Reading, take_picture
from riskcore.ports import AccountQuery, AccountView, Control, Load, StopScope
from riskcore.signal import Read, read_account, read_firm
from state.many import load_many
from state.store import EXPIRED_LIMIT, StateUnavailable, Store

_ATTEMPTS = 5


def find_breaches(store: Store, scope: StopScope, scope_id: str) -> list[str]:
    """Return a sentence for each emergency policy that is breached there.

    An account's last known state counts, however old. An account of which nothing is known has no breach: no order of
    it is approved either. Raises StateUnavailable, also where the live state is not restored.
    """
    control = store.control()
    if control is None:
        raise StateUnavailable("the live state is not restored yet, so nobody knows what is breached")
    book = _compiled(store, control)
    ids = [each for each in book.accounts if scope is not StopScope.ACCOUNT or each == scope_id]
    with localcontext(EXACT):
        pictures = list(_pictures(store, book, ids))
        found = [
            f"account {picture.account.id}: {describe(finding)}"
            for picture in pictures
            for finding in _breached(read_account(picture), scope, scope_id)
        ]
        if scope is StopScope.GLOBAL:
            firm = read_firm(pictures, book, now_us(store))
            found += [f"the firm: {describe(finding)}" for finding in _breached(firm, scope, scope_id)]
        return found


def _compiled(store: Store, control: Control) -> CompiledBook:
    content = store.fetch_book(control.book_version)
    try:
        if content is not None:
            return CompiledBook(decode_book(content))
    except (msgspec.MsgspecError, ValueError) as error:
        raise StateUnavailable(f"book {control.book_version} cannot be read: {error}") from error
    raise StateUnavailable(f"book {control.book_version} is not there")


def _pictures(store: Store, book: CompiledBook, ids: Iterable[str]) -> Iterator[Picture]:
    for loaded in load_many(store, (AccountQuery(account_id=each) for each in ids)):
        for view in loaded.accounts:
            yield _picture(store, view, book, loaded.now_us)


def _picture(store: Store, view: AccountView, book: CompiledBook, at_us: int) -> Picture:
    """Return an account; where a load does not bring all reservations that are over, ask for them separately."""
    if len(view.expired) < EXPIRED_LIMIT:
        return take_picture(view, book, at_us, view.expired)
    for _ in range(_ATTEMPTS):
        over = tuple(held for held in store.reservations(view.account_id) if held.expires_at_us <= at_us)
        try:
            return take_picture(view, book, at_us, over)
        except ValueError:  # an order in between took some of them out of the sums: look again
            loaded = store.load(Load(accounts=(AccountQuery(account_id=view.account_id),)))
            view, at_us = loaded.accounts[0], loaded.now_us
    raise StateUnavailable(f"account {view.account_id} changed at every attempt to read it")


def _breached(read: Read, scope: StopScope, scope_id: str) -> Iterator[Finding]:
    for reading in read.readings:
        finding = reading.finding
        if finding is None or finding.holds or finding.limit.policy.type is not PolicyType.EMERGENCY:
            continue
        if _is_within(reading, read.picture.account, scope, scope_id):
            yield finding


def _is_within(reading: Reading, account: Account, scope: StopScope, scope_id: str) -> bool:
    policy = reading.limit.policy
    match scope:
        case StopScope.GLOBAL | StopScope.ACCOUNT:
            return True
        case StopScope.EXCHANGE:
            return scope_id in (reading.exchange, account.exchange)
        case StopScope.STRATEGY:
            return policy.scope is Scope.STRATEGY and scope_id in policy.scope_ids
        case _:
            return reading.symbol == scope_id
