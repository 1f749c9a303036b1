"""An account's state as its custodian reports it, merged with what was known: peaks kept, starts rolled over."""

from __future__ import annotations

from collections.abc import Generator
from decimal import Decimal

import msgspec
from msgspec import Struct

from riskcore.book import Parameters
from riskcore.calendar import day_end_us, week_end_us
from riskcore.case import decode_state
from riskcore.ledger import decode_ledger
from riskcore.ports import AccountChange, AccountQuery, AccountView, Commit, Committed, Load, Loaded
from riskcore.types import AccountState, Position

_encoder = msgspec.json.Encoder()

# Tries before a report gives way to the checks that keep changing the account.
_ATTEMPTS = 64


class AccountReport(Struct, frozen=True, kw_only=True):
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


class NotApplied(Exception):
    """The report was not taken over; nothing was changed. The text says what to do."""


def is_outdated(report: AccountReport, previous: AccountState | None) -> bool:
    """Return whether the report is a duplicate of what is known, or older: it changes nothing then."""
    if previous is None:
        return False
    if report.sequence >= 0 and previous.sequence >= 0:
        return report.sequence <= previous.sequence
    return bool(report.sent_at_us and previous.sent_at_us and report.sent_at_us < previous.sent_at_us)


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


def report_steps(report: AccountReport, parameters: Parameters) -> Generator[Load | Commit, Loaded | Committed, bool]:
    """Take over a report; return False where it was a duplicate or older than what is known.

    Raises NotApplied where the account changed at every attempt, or its record cannot be read and the report
    does not say all that was in it.
    """
    load = Load(accounts=(AccountQuery(account_id=report.account_id),))
    reply = yield load
    for _attempt in range(_ATTEMPTS):
        assert isinstance(reply, Loaded)
        view = reply.accounts[0]
        previous = _previous(view, report)
        if is_outdated(report, previous):
            return False
        state = merge(report, previous, reply.now_us, parameters)
        change = AccountChange(
            account_id=report.account_id,
            expected_version=view.version,
            state=_encoder.encode(state),
            symbols=symbols_to_load(state, view),
        )
        reply = yield Commit(expect=None, changes=(change,), journal=(), reload=load)
        if isinstance(reply, Committed):
            return True
    raise NotApplied(f"account {report.account_id} changed at every attempt; send the report again")


def symbols_to_load(state: AccountState, view: AccountView) -> tuple[str, ...]:
    """Return the symbols of all positions and open orders, each once."""
    try:
        opened = decode_ledger(view.ledger).open
    except msgspec.MsgspecError:
        opened = {}
    held = (position.symbol for position in state.positions.values())
    return tuple(dict.fromkeys((*held, *(orders.symbol for orders in opened.values()))))


def _previous(view: AccountView, report: AccountReport) -> AccountState | None:
    """Return what was known. A record that cannot be read is only replaced by a report that says all it held."""
    if view.state is None:
        return None
    try:
        return decode_state(view.state)
    except msgspec.MsgspecError:
        if None in (report.peak_equity, report.daily_start_equity, report.weekly_start_equity):
            raise NotApplied(
                f"the record of account {report.account_id} cannot be read, so its peak and start equities are lost: "
                "send peak_equity, daily_start_equity and weekly_start_equity with the report"
            ) from None
        return None
