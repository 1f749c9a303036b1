"""What a stop asks of the OMS next, and how far it has come: from what is known, without touching anything.

blocked -> cancelled -> (unwinding -> flat ->) completed. That orders are cancelled is the OMS's word; that nothing is
held any more, and that no order from before the stop is open, is what riskportal's own books must say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from emergency.holdings import Seen
from emergency.notes import StopNote
from emergency.words import Command, Status
from emergency.work import AccountWork, Errand, Progress, Residual, UnwindNote
from riskcore.ports import StopScope

_RANK = {status: rank for rank, status in enumerate(Status)}

# As many are shown one by one.
MOST_RESIDUALS = 100

# For so long positions wait for their account's orders to be cancelled, by an OMS that answers.
_CLOSING_WAITS_US = 10_000_000

_WAITS = "it was not asked yet"
_DISAGREES = "the OMS says that nothing is left, riskportal still sees positions"
_UNTOLD = "nothing was reported since its orders were cancelled"


def joined(work: UnwindNote, account_ids: Iterable[str]) -> UnwindNote:
    """Return the work with these accounts in it, besides those that are."""
    new = {each: AccountWork() for each in account_ids if each not in work.accounts}
    return replace(work, accounts={**work.accounts, **new}) if new else work


def wanted(stop: StopNote, work: UnwindNote, seen: Mapping[str, Seen], now_us: int) -> Iterator[tuple[str, Command]]:
    """Yield what is to be asked of the OMS. Closing an account does not wait for the orders of others.

    Nor, after a while, for an order of its own that cannot be cancelled.
    """
    is_late = now_us - work.begun_us >= _CLOSING_WAITS_US
    for account_id, account in work.accounts.items():
        if not account.cancel.done_us:
            yield account_id, Command.CANCEL_ALL
        is_heard = account.cancel.remaining is not None
        may_close = account.cancel.done_us or (is_late and is_heard)
        if stop.unwind and may_close and _may_hold(stop, account, seen.get(account_id)):
            yield account_id, Command.CLOSE_ALL


def _may_hold(stop: StopNote, account: AccountWork, seen: Seen | None) -> bool:
    """Return whether there may be something to close; who held nothing just now is told of again within a moment."""
    if account.close is not None or stop.scope is StopScope.STRATEGY or seen is None:
        return not is_flat(stop, account, seen)
    return bool(seen.problem) or bool(seen.positions(stop))


def is_flat(stop: StopNote, account: AccountWork, seen: Seen | None) -> bool:
    """Return whether nothing is held: by a report since the cancelling, which the OMS's last word does not contradict.

    A strategy has no positions of its own: of it the OMS's word is all there is.
    """
    if stop.scope is StopScope.STRATEGY:
        return account.close is not None and account.close.remaining == 0
    if account.close is not None and account.close.remaining:
        return False
    if seen is None or seen.problem or seen.reported_us <= account.cancel.done_us:
        return False
    return bool(account.cancel.done_us) and not seen.positions(stop)


def heard(work: UnwindNote, answers: Iterable[tuple[str, Command, Progress | str]], now_us: int) -> UnwindNote:
    """Return the work after answers, or after the reasons why there are none."""
    accounts = dict(work.accounts)
    for account_id, command, answer in answers:
        account = accounts[account_id]
        accounts[account_id] = account.with_errand(command, _after(account.errand(command), command, answer, now_us))
    return replace(work, accounts=accounts)


def _after(errand: Errand, command: Command, answer: Progress | str, now_us: int) -> Errand:
    if isinstance(answer, str):
        return replace(errand, why=answer)
    is_done = command is Command.CANCEL_ALL and answer.remaining == 0
    return Errand(
        done_us=errand.done_us or (now_us if is_done else 0),
        # An OMS that began anew counts from nothing.
        orders_canceled=max(errand.orders_canceled, answer.orders_canceled),
        positions_closed=max(errand.positions_closed, answer.positions_closed),
        remaining=answer.remaining,
        rejects=answer.rejects,
    )


def judged(stop: StopNote, work: UnwindNote, seen: Mapping[str, Seen], open_orders: Mapping[str, int]) -> UnwindNote:
    """Return the work with its status and what is left. A status never goes back.

    `open_orders`: by account, how many from before the stop riskportal still counts.
    """
    found = _status(stop, work, seen, open_orders)
    status = max(work.status, found, key=_RANK.__getitem__)
    left = () if status is Status.COMPLETED else _residuals(stop, work, seen, open_orders)
    return replace(work, status=status, residuals=tuple(left))


def _status(stop: StopNote, work: UnwindNote, seen: Mapping[str, Seen], open_orders: Mapping[str, int]) -> Status:
    accounts = work.accounts.items()
    if not all(account.cancel.done_us for _, account in accounts):
        return Status.BLOCKED
    if stop.unwind and not all(is_flat(stop, account, seen.get(account_id)) for account_id, account in accounts):
        return Status.UNWINDING if any(account.close for _, account in accounts) else Status.CANCELLED
    if any(open_orders.values()):
        return Status.FLAT if stop.unwind else Status.CANCELLED
    return Status.COMPLETED


def _residuals(
    stop: StopNote, work: UnwindNote, seen: Mapping[str, Seen], open_orders: Mapping[str, int]
) -> list[Residual]:
    found: list[Residual] = []
    more = 0
    for account_id, account in sorted(work.accounts.items()):
        residual = _residual(stop, account_id, account, seen.get(account_id), open_orders.get(account_id, 0))
        if residual is None:
            continue
        if len(found) < MOST_RESIDUALS:
            found.append(residual)
        else:
            more += 1
    return [*found, Residual(account_id="", why=f"and {more:,} more accounts")] if more else found


def _residual(
    stop: StopNote, account_id: str, account: AccountWork, seen: Seen | None, open_orders: int
) -> Residual | None:
    """Return what is left of an account, None where nothing is."""
    held = () if seen is None or not stop.unwind else seen.positions(stop)
    if not account.cancel.done_us:
        command, errand, why = Command.CANCEL_ALL, account.cancel, _why(account.cancel)
    elif stop.unwind and not is_flat(stop, account, seen):
        command, errand = Command.CLOSE_ALL, account.errand(Command.CLOSE_ALL)
        why = _why_not_flat(stop, account, seen)
    elif open_orders:
        why = "orders from before the stop are not reported as closed"
        return Residual(account_id=account_id, why=why, open_orders=open_orders)
    else:
        return None
    return Residual(
        account_id=account_id,
        why=why,
        command=command,
        remaining=errand.remaining,
        open_orders=open_orders,
        positions=held,
        rejects=errand.rejects,
    )


def _why_not_flat(stop: StopNote, account: AccountWork, seen: Seen | None) -> str:
    close = account.errand(Command.CLOSE_ALL)
    if close.why or close.remaining or stop.scope is StopScope.STRATEGY:
        return _why(close)
    if seen is None or seen.problem:
        return "nothing is known of it" if seen is None else seen.problem
    if seen.reported_us <= account.cancel.done_us:
        return _UNTOLD
    return _WAITS if close.remaining is None else _DISAGREES


def _why(errand: Errand) -> str:
    if errand.why:
        return errand.why
    if errand.remaining is None:
        return _WAITS
    if errand.rejects:
        return f"orders are blocked: {', '.join(sorted(errand.rejects))}"
    return "the OMS is at it"
