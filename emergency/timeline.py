"""What a stop's timeline says of its workflow. Each thing has a name of its own, so that nothing is told twice."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid5

from bus.events import StopProgressed
from emergency.notes import StepNote, StopNote
from emergency.words import Command, Event, Status
from emergency.work import AccountWork, PatienceNote, UnwindNote
from riskcore.ports import StopScope

# With more accounts than these only the sums are told.
_MOST_ACCOUNTS = 50

_FROM_THE_FIRST = tuple(Status)


def steps(stop: StopNote, before: UnwindNote, after: UnwindNote, at_us: int) -> Iterator[StepNote]:
    """Yield what has happened between two looks, a microsecond apart so that they keep their order."""
    told = [*_of_accounts(before, after), *_of_status(stop, before, after)]
    for number, (name, what, detail) in enumerate(told):
        yield step(stop.id, name, what, detail, at_us + number)


def step(stop_id: str, name: str, what: str, detail: str, at_us: int) -> StepNote:
    """Return a step that is told once by its `name`."""
    return StepNote(id=str(uuid5(UUID(stop_id), name)), stop_id=stop_id, at_us=at_us, what=what, detail=detail)


def patience_step(note: PatienceNote) -> StepNote:
    """Return the step that says that the OMS is asked no more, or again."""
    what = Event.GAVE_UP if note.given_up else Event.WENT_ON
    return step(note.stop_id, f"{what} {note.at_us}", what, f"by {note.by}: {note.reason}", note.at_us)


def ended_step(work: UnwindNote, at_us: int) -> StepNote:
    """Return the step that says that a stop was lifted before all of it was done."""
    left = len(work.residuals)
    detail = f"Lifted before it was completed: {left} residuals. The OMS is asked no more."
    return step(work.stop_id, Event.ENDED, Event.ENDED, detail, at_us)


def progressed(work: UnwindNote, *, given_up: bool) -> StopProgressed:
    """Return what is published of how far a stop has come."""
    sums = work.sums
    return StopProgressed(
        stop_id=work.stop_id,
        status=work.status.value,
        given_up=given_up,
        orders_canceled=sums.orders_canceled,
        positions_closed=sums.positions_closed,
        residuals=len(work.residuals),
    )


def _of_accounts(before: UnwindNote, after: UnwindNote) -> Iterator[tuple[str, str, str]]:
    if len(after.accounts) > _MOST_ACCOUNTS:
        return
    for account_id, account in sorted(after.accounts.items()):
        known = before.accounts.get(account_id, AccountWork())
        if account != known:
            yield from _of_account(account_id, known, account)


def _of_account(account_id: str, before: AccountWork, after: AccountWork) -> Iterator[tuple[str, str, str]]:
    cancel, close = after.cancel, after.errand(Command.CLOSE_ALL)
    if cancel.done_us and not before.cancel.done_us and cancel.orders_canceled:
        what = Event.ORDERS_CANCELLED
        yield f"{what} {account_id}", what, f"{account_id}: {_count(cancel.orders_canceled, 'order')}"
    if close.remaining == 0 and before.errand(Command.CLOSE_ALL).remaining != 0 and close.positions_closed:
        what = Event.POSITIONS_CLOSED
        yield f"{what} {account_id}", what, f"{account_id}: {_count(close.positions_closed, 'position')}"
    for command in Command:
        errand, known = after.errand(command), before.errand(command)
        blocked = f"orders are blocked: {', '.join(sorted(errand.rejects))}" if errand.rejects else ""
        trouble = errand.why or blocked
        if trouble and not (known.why or known.rejects):
            # The first of each is told; what it is at the moment is with the residuals.
            yield f"{Event.TROUBLE} {command} {account_id}", Event.TROUBLE, f"{command} {account_id}: {trouble}"


def _of_status(stop: StopNote, before: UnwindNote, after: UnwindNote) -> Iterator[tuple[str, str, str]]:
    first, last = (_FROM_THE_FIRST.index(work.status) for work in (before, after))
    for status in _FROM_THE_FIRST[first + 1 : last + 1]:
        if status not in (Status.UNWINDING, Status.FLAT) or (stop.unwind and _has_been(status, after)):
            yield status, status, _detail(stop, status, after)


def _has_been(status: Status, work: UnwindNote) -> bool:
    """Return whether there was this status: where nothing was held nothing was unwound."""
    return status is Status.FLAT or any(account.close for account in work.accounts.values())


def _detail(stop: StopNote, status: Status, work: UnwindNote) -> str:
    accounts = work.accounts.values()
    cancelled = sum(each.cancel.orders_canceled for each in accounts)
    closed = [each.close for each in accounts if each.close is not None]
    match status:
        case Status.CANCELLED:
            return f"The OMS has cancelled {_count(cancelled, 'order')} of {_count(len(accounts), 'account')}."
        case Status.UNWINDING:
            return f"The OMS is asked to close the positions of {_count(len(closed), 'account')}."
        case Status.FLAT if stop.scope is StopScope.STRATEGY:
            return "Nothing is held, as the OMS says: riskportal knows of no strategy what it holds."
        case Status.FLAT:
            return (
                f"Nothing is held. The OMS closed {_count(sum(each.positions_closed for each in closed), 'position')}."
            )
        case _:
            return "No order from before the stop is open."


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
