"""What flowed in, into the live state: each report once, and never an older one over a newer one."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import timedelta

import msgspec
from django.utils import timezone
from msgspec.structs import replace

from feeds.books import CompiledBooks, in_force
from feeds.messages import PriceReport
from feeds.models import AccountBaseline, EquityPoint
from policies.book import latest, published
from riskcore.book import Parameters, decode_book
from riskcore.calendar import microseconds, moment
from riskcore.case import decode_state
from riskcore.compiled import CompiledBook
from riskcore.fills import symbols_of
from riskcore.flow import FlowRecord, encode_flow
from riskcore.intake import readable_ledger
from riskcore.ports import AccountChange, AccountQuery, AccountView, Commit, Committed, Load
from riskcore.report import AccountReport, merge, report_steps
from riskcore.track import EquityTrack, with_equity
from riskcore.types import AccountState
from state.driver import run_sync
from state.many import load_many
from state.store import StateUnavailable, Store

logger = logging.getLogger(__name__)

_encoder = msgspec.json.Encoder()

_ATTEMPTS = 64

# As many points of equity as are looked at, of those in the last minutes.
_POINTS = 1_000


class NoBook(Exception):
    """No book was ever published, so nothing is known about accounts."""


def book_for_reports(store: Store, books: CompiledBooks) -> CompiledBook:
    """Return the book in force; while the live state is without one, the last that is known.

    Reports are taken while approvals are held back, so that there is fresh state when they no longer are.
    Raises StateUnavailable, NoBook, and Django's database errors.
    """
    control = store.control()
    if control is not None:
        return in_force(control.book_version, store, books)
    if books.last is not None:
        return books.last
    row = latest()
    if row is None:
        raise NoBook("no policy book was ever published")
    return books.put(row.version, published(row))


def apply_report(store: Store, books: CompiledBooks, report: AccountReport) -> bool:
    """Take over an account's state; return False where it was a duplicate or older than what is known.

    Raises NotApplied where the account changed at every attempt, StateUnavailable and NoBook.
    """
    parameters = book_for_reports(store, books).parameters
    return run_sync(report_steps(report, parameters), store, books).is_new


def apply_prices(store: Store, prices: Iterable[PriceReport]) -> int:
    """Write prices and return how many were not older than those that are known. Raises StateUnavailable."""
    return store.put_prices({report.symbol: (f"{report.price:f}", report.sent_at_us) for report in prices})


# ------------------------------------------------------------------------------------------- baselines
def keep_baselines(store: Store) -> int:
    """Keep the state of every account in the database and return how many have changed since the last time.

    A report names no peak and no equity at the day's and week's start unless the custodian knows them: those
    that are worked out from earlier reports must survive the loss of the live state. While that is not restored
    nothing is kept: reports that came before their baselines would take their place. Raises StateUnavailable.
    """
    if store.control() is None:
        return 0
    known = dict(AccountBaseline.objects.values_list("account_id", "at"))
    changed = []
    for view in _views(store, store.account_ids()):
        row = _baseline(view)
        if row is not None and known.get(row.account_id) != row.at:
            changed.append(row)
    AccountBaseline.objects.bulk_create(
        changed, batch_size=500, update_conflicts=True, unique_fields=["account_id"], update_fields=["state", "at"]
    )
    return len(changed)


def restore_baselines(store: Store) -> int:
    """Give a live state that is not restored yet the accounts' baselines back; return how many it was without.

    An account without any state has the last that was kept of it: as old as it is, so that it makes no order
    pass, but the next report goes on from it. One that has reported meanwhile goes on from it from that report
    on. Raises StateUnavailable.
    """
    kept = dict(AccountBaseline.objects.values_list("account_id", "state"))
    book = latest()
    parameters = Parameters() if book is None else decode_book(book.content.encode()).parameters
    views = _views(store, kept, flow=True)
    return sum(_restore(store, view, kept[view.account_id].encode(), parameters) for view in views)


def _baseline(view: AccountView) -> AccountBaseline | None:
    if view.state is None:
        return None
    try:
        state = decode_state(view.state)
    except msgspec.MsgspecError as error:
        logger.error("the state of account %s cannot be read: %s", view.account_id, error)
        return None
    return AccountBaseline(account_id=view.account_id, state=view.state.decode(), at=moment(state.received_at_us))


def _restore(store: Store, view: AccountView, kept: bytes, parameters: Parameters) -> bool:
    """Write an account's baseline, or its state with the baseline in it. Returns False where it is in there."""
    baseline = decode_state(kept)
    load = Load(accounts=(AccountQuery(account_id=view.account_id, flow=True),))
    for _attempt in range(_ATTEMPTS):
        reported = _reported(view)
        state = baseline if reported is None else _continued(reported, baseline, parameters)
        if state == reported:
            return False
        change = AccountChange(
            account_id=view.account_id,
            expected_version=view.version,
            state=_encoder.encode(state),
            symbols=symbols_of(state, readable_ledger(view)),
            flow=None if view.flow is not None else _flow_again(view.account_id, parameters),
        )
        reply = store.commit(Commit(expect=None, changes=(change,), journal=(), reload=load))
        if isinstance(reply, Committed):
            return True
        view = reply.accounts[0]
    raise StateUnavailable(f"account {view.account_id} changed at every attempt to restore its state")


def _flow_again(account_id: str, parameters: Parameters) -> bytes:
    """Return what the feeds remember of an account whose flow was lost: how its equity went in the last minutes."""
    track = EquityTrack()
    points = EquityPoint.objects.filter(account_id=account_id).order_by("-at").values_list("at", "equity")
    window = timedelta(microseconds=parameters.rapid_window_us)
    for at, equity in reversed(points.filter(at__gte=timezone.now() - window)[:_POINTS]):
        track = with_equity(track, equity, microseconds(at), parameters.rapid_window_us)
    return encode_flow(FlowRecord(track=track))


def _reported(view: AccountView) -> AccountState | None:
    """Return the state that was reported, None where there is none that can be read."""
    try:
        return None if view.state is None else decode_state(view.state)
    except msgspec.MsgspecError:
        return None


def _continued(reported: AccountState, baseline: AccountState, parameters: Parameters) -> AccountState:
    """Return a state as it would be, had the baseline been there when it was reported."""
    report = AccountReport(
        account_id=reported.account_id,
        equity=reported.equity,
        margin_used=reported.margin_used,
        positions=reported.positions,
        balance=reported.balance,
        peak_equity=reported.peak_equity,
        sequence=reported.sequence,
        sent_at_us=reported.sent_at_us,
    )
    merged = merge(report, baseline, reported.received_at_us, parameters)
    return replace(merged, drawdown_rapid=reported.drawdown_rapid)


def _views(store: Store, account_ids: Iterable[str], *, flow: bool = False) -> Iterator[AccountView]:
    for loaded in load_many(store, (AccountQuery(account_id=each, flow=flow) for each in account_ids)):
        yield from loaded.accounts
