"""An account's state as its custodian reports it, merged with what was known: peaks kept, starts rolled over.

A report is whole, or of the positions or the P&L alone. Fills that a snapshot came without are added to it.
"""

from __future__ import annotations

from collections.abc import Generator
from decimal import Decimal, localcontext
from functools import partial

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from riskcore.book import Parameters
from riskcore.calendar import day_end_us, week_end_us
from riskcore.case import decode_state
from riskcore.decimals import EXACT
from riskcore.fills import ACTOR, symbols_of
from riskcore.flow import FlowRecord, Source, decode_flow, encode_flow, margin_with_fills, oldest, with_fills
from riskcore.intake import (
    KNOWN,
    NotApplied,
    Taken,
    encode_state,
    intake_steps,
    read_records,
    readable_ledger,
)
from riskcore.ledger import encode_ledger
from riskcore.ports import AccountChange, AccountQuery, AccountView, Commit, Committed, Load, Loaded
from riskcore.release import release_entry, released
from riskcore.track import with_equity, worst_fall
from riskcore.types import AccountState, Position, Reservation

Steps = Generator[Load | Commit, Loaded | Committed, Taken]


class AccountReport(Struct, frozen=True, kw_only=True, gc=False):
    """What a custodian sent. Amounts in currency; None: not said, so kept from before or started from equity.

    `positions` by position key. `sequence` -1 and `sent_at_us` 0: not said.
    """

    account_id: str
    equity: Decimal
    margin_used: Decimal
    positions: dict[str, Position]
    balance: Decimal | None = None
    peak_equity: Decimal | None = None
    daily_start_equity: Decimal | None = None
    weekly_start_equity: Decimal | None = None
    sequence: int = -1
    sent_at_us: int = 0


class PositionsReport(Struct, frozen=True, kw_only=True, gc=False):
    """All positions of an account, by position key. `sequence` -1 and `sent_at_us` 0: not said."""

    account_id: str
    positions: dict[str, Position]
    sequence: int = -1
    sent_at_us: int = 0


class PnlReport(Struct, frozen=True, kw_only=True, gc=False):
    """The money of an account, in currency. `sequence` -1 and `sent_at_us` 0: not said."""

    account_id: str
    equity: Decimal
    margin_used: Decimal
    balance: Decimal | None = None
    sequence: int = -1
    sent_at_us: int = 0


def is_outdated(report: AccountReport, previous: AccountState | None) -> bool:
    """Return whether the report is a duplicate of what is known, or older: it changes nothing then."""
    if previous is None:
        return False
    return Source(previous.sequence, previous.sent_at_us).is_older(report.sequence, report.sent_at_us)


def is_outdated_answer(report: AccountReport, previous: AccountState | None) -> bool:
    """Return whether a stamped report that was asked for is of no later moment than what is known, or lags behind it.

    The same number again is no duplicate here: it says that the state still holds, at its later moment.
    """
    if previous is None:
        return False
    if 0 <= report.sequence < previous.sequence:
        return True
    return report.sent_at_us <= (previous.sent_at_us or previous.received_at_us)


def merge(report: AccountReport, previous: AccountState | None, now_us: int, parameters: Parameters) -> AccountState:
    """Return the new state. The peak never falls; a day's or week's start is the last equity before its roll-over."""
    equity, zone, minute = report.equity, parameters.day_zone, parameters.day_roll_minute
    daily, day_end = _start(previous, "daily_start_equity", "day_end_us", equity, now_us)
    weekly, week_end = _start(previous, "weekly_start_equity", "week_end_us", equity, now_us)
    peak = max(equity, previous.peak_equity if previous is not None else equity, report.peak_equity or equity)
    return AccountState(
        account_id=report.account_id,
        equity=equity,
        balance=equity if report.balance is None else report.balance,
        margin_used=report.margin_used,
        peak_equity=peak,
        daily_start_equity=daily if report.daily_start_equity is None else report.daily_start_equity,
        weekly_start_equity=weekly if report.weekly_start_equity is None else report.weekly_start_equity,
        positions=report.positions,
        received_at_us=now_us,
        sent_at_us=report.sent_at_us,
        sequence=report.sequence,
        day_end_us=day_end or day_end_us(now_us, zone, minute),
        week_end_us=week_end or week_end_us(now_us, zone, minute),
    )


def _start(previous: AccountState | None, start: str, end: str, equity: Decimal, now_us: int) -> tuple[Decimal, int]:
    """Return a start equity and its roll-over; 0 where the roll-over has passed and is to be found anew."""
    if previous is None:
        return equity, 0
    if now_us < getattr(previous, end):
        return getattr(previous, start), getattr(previous, end)
    return previous.equity, 0


def report_steps(report: AccountReport, parameters: Parameters, *, pulled: bool = False) -> Steps:
    """Take over a whole report. It starts the numbers of the positions and the P&L anew, for a sender that lost count.

    One that was `pulled`, stamped and not sent by anybody, leaves all numbers alone, and changes nothing unless it is
    of a later moment than what is known. Raises NotApplied where the account changed at every attempt, or its record
    cannot be read and the report does not say all that was in it.
    """
    return intake_steps(_query(report.account_id), partial(_take_report, report, parameters, pulled))


def positions_steps(report: PositionsReport) -> Steps:
    """Take over a snapshot of the positions. Raises NotApplied."""
    return intake_steps(_query(report.account_id), partial(_take_positions, report))


def pnl_steps(report: PnlReport, parameters: Parameters) -> Steps:
    """Take over a snapshot of the money. Raises NotApplied."""
    return intake_steps(_query(report.account_id), partial(_take_pnl, report, parameters))


def _query(account_id: str) -> AccountQuery:
    return AccountQuery(account_id=account_id, flow=True)


def _take_report(
    report: AccountReport,
    parameters: Parameters,
    pulled: bool,
    view: AccountView,
    now_us: int,
    looked_at: frozenset[str],
) -> Taken:
    previous, flow = _previous(view, report), _flow(view)
    newest_us = max(flow.positions.sent_at_us, flow.pnl.sent_at_us, flow.complete_from_us)
    outdated = (is_outdated_answer if pulled else is_outdated)(report, previous)
    if outdated or 0 < report.sent_at_us < newest_us:
        return KNOWN
    if pulled and previous is not None:
        report = replace(report, sequence=max(report.sequence, previous.sequence))
    positions, pnl = (
        Source(part.sequence if pulled else -1, report.sent_at_us, now_us) for part in (flow.positions, flow.pnl)
    )
    with localcontext(EXACT):
        state = merge(report, previous, now_us, parameters)
        track = with_equity(flow.track, report.equity, now_us, parameters.rapid_window_us)
        flow = replace(flow, positions=positions, pnl=pnl, margin_used=report.margin_used, track=track)
        state = replace(
            state,
            positions=with_fills(state.positions, flow),
            margin_used=margin_with_fills(flow),
            drawdown_rapid=worst_fall(track),
        )
    return _taken(view, state, flow, now_us, looked_at)


def _take_positions(report: PositionsReport, view: AccountView, now_us: int, looked_at: frozenset[str]) -> Taken:
    records = read_records(view)
    flow = records.flow
    if _is_older(report, flow.positions, flow, now_us):
        return KNOWN
    missed = flow.positions.missed(report.sequence)
    flow = replace(flow, positions=Source(report.sequence, report.sent_at_us, now_us))
    with localcontext(EXACT):
        state = replace(records.state, positions=with_fills(report.positions, flow))
    return _taken(view, _aged(state, flow), flow, now_us, looked_at, missed)


def _take_pnl(
    report: PnlReport, parameters: Parameters, view: AccountView, now_us: int, looked_at: frozenset[str]
) -> Taken:
    state, flow = (records := read_records(view)).state, records.flow
    if _is_older(report, flow.pnl, flow, now_us):
        return KNOWN
    missed = flow.pnl.missed(report.sequence)
    previous = state if _has_money(state) else None
    track = with_equity(flow.track, report.equity, now_us, parameters.rapid_window_us)
    source = Source(report.sequence, report.sent_at_us, now_us)
    flow = replace(flow, pnl=source, margin_used=report.margin_used, track=track)
    whole = AccountReport(
        account_id=report.account_id,
        equity=report.equity,
        margin_used=report.margin_used,
        positions=state.positions,
        balance=report.balance,
    )
    with localcontext(EXACT):
        merged = merge(whole, previous, now_us, parameters)
        merged = replace(merged, margin_used=margin_with_fills(flow), drawdown_rapid=worst_fall(track))
    return _taken(view, _aged(replace(merged, sequence=state.sequence), flow), flow, now_us, looked_at, missed)


def _is_older(report: PositionsReport | PnlReport, known: Source, flow: FlowRecord, now_us: int) -> bool:
    """Return whether a report of a part is known or older than what is, or too old to be completed with fills.

    The next number is of no use if its stamp is earlier: a whole report of a later moment was pulled in between.
    """
    if (report.sent_at_us or now_us) < flow.complete_from_us:
        return True
    return known.is_older(report.sequence, report.sent_at_us) or 0 < report.sent_at_us < known.sent_at_us


def _aged(state: AccountState, flow: FlowRecord) -> AccountState:
    """Return the state as old as its older part."""
    source = oldest(flow)
    return replace(state, received_at_us=source.received_at_us, sent_at_us=source.sent_at_us)


def _taken(
    view: AccountView, state: AccountState, flow: FlowRecord, now_us: int, looked_at: frozenset[str], missed: int = 0
) -> Taken:
    """Return the write of a state; filled orders that its positions have in them hold nothing any more."""
    due = frozenset(name for name, at_us in flow.filled.items() if at_us < flow.positions.as_of_us)
    if not due <= looked_at:
        return Taken(wanted=tuple(due))
    ledger = readable_ledger(view)
    ended = tuple(view.reservations[name] for name in due if name in view.reservations) if ledger is not None else ()
    left = released(ledger, ended) if ledger is not None else None
    flow = replace(flow, filled={name: at_us for name, at_us in flow.filled.items() if name not in due})
    change = AccountChange(
        account_id=view.account_id,
        expected_version=view.version,
        state=encode_state(state),
        symbols=symbols_of(state, left),
        ledger=encode_ledger(left) if ended and left is not None else None,
        flow=encode_flow(flow),
        remove=ended,
    )
    return Taken(change=change, journal=_entries(ended, now_us), missed=missed)


def _entries(ended: tuple[Reservation, ...], now_us: int) -> tuple[bytes, ...]:
    return tuple(release_entry(one, actor=ACTOR, reason="filled", now_us=now_us) for one in ended)


def _previous(view: AccountView, report: AccountReport) -> AccountState | None:
    """Return what was known. A record that cannot be read is only replaced by a report that says all it held."""
    if view.state is None:
        return None
    try:
        previous = decode_state(view.state)
    except msgspec.MsgspecError:
        if None in (report.peak_equity, report.daily_start_equity, report.weekly_start_equity):
            raise NotApplied(
                f"the record of account {report.account_id} cannot be read, so its peak and start equities are lost: "
                "send peak_equity, daily_start_equity and weekly_start_equity with the report"
            ) from None
        return None
    return previous if _has_money(previous) else None


def _has_money(state: AccountState) -> bool:
    """Return whether the state says anything of money: one that only positions or fills have made does not."""
    return bool(state.day_end_us)


def _flow(view: AccountView) -> FlowRecord:
    """Return what the feeds remember; nothing where that cannot be read, since a whole report starts it anew."""
    try:
        return decode_flow(view.flow)
    except msgspec.MsgspecError:
        return FlowRecord()
