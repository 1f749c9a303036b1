"""Works out from the recorded decisions what an account's ledger and reservations were, to the last one.

A decision is kept with the ledger that it was taken on, so the newest one, evaluated again, gives the ledger
that it left: message counts, rejects and the day's turnover. What was open in it is put together anew,
since reservations end without a decision: by release, and by their time. The orders and the fills of the day
are counted anew, both from zero: nobody records the fills since the newest decision, and an account must not be
kept out for the rest of the day by its ratio to trades that were forgotten.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import localcontext
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from audit.models import OrderDecision, ReservationEnd
from riskcore.calendar import microseconds, moment
from riskcore.compiled import CompiledBook
from riskcore.decide import decide
from riskcore.decimals import EXACT
from riskcore.journal import Inputs
from riskcore.ledger import EMPTY_LEDGER, decode_ledger, encode_ledger, release, reserve
from riskcore.types import Ledger, Reservation, Verdict
from state.store import EXPIRED_LIMIT

logger = logging.getLogger(__name__)

BookOf = Callable[[int], CompiledBook]

# No reservation lives longer: neither the settings, nor an account, nor a request can say so.
LONGEST_LIFE = timedelta(days=30)

# Decisions that overlapped with the newest one began no longer before it, and there are no more of them.
_OVERLAP = timedelta(seconds=2)
_OVERLAPPING = 5000

_CHUNK = 500


class CannotRebuild(Exception):
    """A recorded approval is not reproduced, so what it holds is not known; its time will end it."""


class Rebuilt(Struct, frozen=True):
    """An account's ledger, and the reservations that are in its sums."""

    ledger: Ledger
    reservations: tuple[Reservation, ...]


class _Left(Struct, frozen=True):
    """What the newest decision left. `open_orders`: how many it left open, None where that is not certain."""

    ledger: Ledger
    at: datetime
    open_orders: int | None


class _Held(Struct, frozen=True):
    expires_at: datetime


class _Approval(Struct, frozen=True):
    """As much of an answer as says until when it reserved."""

    reservation: _Held | None
    timestamp: datetime


_inputs = msgspec.json.Decoder(Inputs)
_approval = msgspec.json.Decoder(_Approval)


def rebuild(account_id: str, now: datetime, book_of: BookOf) -> Rebuilt | None:
    """Return what the account had at `now`, None where nothing was ever decided for it.

    `book_of` returns the compiled book of a version. Raises CannotRebuild, and LookupError or ValueError
    where a book is missing or was changed.
    """
    left = _left_by_the_newest(account_id, book_of)
    if left is None:
        return None
    held = tuple(_reservations(_still_open(account_id, left, now), book_of))
    with localcontext(EXACT):
        ledger = replace(left.ledger, open={}, daily_orders=0, daily_fills=0)
        for one in held:
            ledger = reserve(ledger, one)
    return Rebuilt(ledger, held)


def longest_life_us(newest: int) -> int:
    """Return the longest life that one of the `newest` approvals gave its reservation, in microseconds."""
    approved = OrderDecision.objects.filter(approved=True, what_if=False).order_by("-decided_at")
    lives = [
        held.reservation.expires_at - held.timestamp
        for held in map(_approval.decode, approved.values_list("answer", flat=True)[:newest])
        if held.reservation is not None
    ]
    return max(lives, default=timedelta()) // timedelta(microseconds=1)


# ------------------------------------------------------------------------------------- the newest decision
def _left_by_the_newest(account_id: str, book_of: BookOf) -> _Left | None:
    decisions = OrderDecision.objects.filter(account_id=account_id).order_by("-decided_at", "-decision_id")
    newest = decisions.first()
    if newest is None:
        return None
    overlapping = decisions.filter(decided_at__gt=newest.decided_at - _OVERLAP)[:_OVERLAPPING]
    all_inputs = [_inputs.decode(text) for text in overlapping.values_list("inputs", flat=True)]
    generation = _inputs.decode(newest.inputs).generation
    of_life = [inputs for inputs in all_inputs if inputs.generation == generation]
    version = max(inputs.account_version for inputs in of_life)
    return _left_by([inputs for inputs in of_life if inputs.account_version == version], book_of)


def _left_by(last: list[Inputs], book_of: BookOf) -> _Left:
    """Return what is left by the decisions on the last version of an account.

    One commit at most was made on it, so those that changed the ledger are of one batch and make a chain,
    each beginning with the ledger that another ended with; where the chain ends is what is left.
    """
    before: Counter[bytes] = Counter()
    after: Counter[bytes] = Counter()
    certain = True
    for inputs in last:
        try:
            ledger = decide(inputs, book_of(inputs.book_version)).ledger
        except (LookupError, ValueError, ArithmeticError):
            logger.exception("decision %s cannot be evaluated again", inputs.decision_id)
            certain = False
            continue
        if ledger is not None:
            before[bytes(inputs.ledger)] += 1
            after[encode_ledger(ledger)] += 1
    ends = after - before
    ledger = decode_ledger(next(iter(ends))) if ends else _unchanged(last[0])
    certain = certain and max(len(inputs.expired) for inputs in last) < EXPIRED_LIMIT
    opened = sum(each.buy_count + each.sell_count for each in ledger.open.values())
    return _Left(ledger, moment(max(inputs.now_us for inputs in last)), opened if certain else None)


def _unchanged(inputs: Inputs) -> Ledger:
    """Return the ledger that a decision was taken on, without what had run out by then."""
    content = bytes(inputs.ledger)
    try:
        with localcontext(EXACT):
            return release(decode_ledger(None if content == b"null" else content), inputs.expired)
    except (msgspec.MsgspecError, ValueError, ArithmeticError):
        return EMPTY_LEDGER


# ------------------------------------------------------------------------------------------ what is open
def _still_open(account_id: str, left: _Left, now: datetime) -> list[UUID]:
    """Return the decisions whose reservations neither ended nor ran out, looking back from the newest.

    Looks no further than to the last one that the ledger still had.
    """
    wanted = left.open_orders
    found: list[UUID] = []
    if wanted == 0:
        return found
    for decision_id, expires_at, ended_at in _approvals(account_id, now - LONGEST_LIFE):
        if ended_at is None and expires_at > now:
            found.append(decision_id)
        if wanted is not None and expires_at > left.at and (ended_at is None or ended_at > left.at):
            wanted -= 1
            if not wanted:
                break
    return found


def _approvals(account_id: str, since: datetime) -> Iterator[tuple[UUID, datetime, datetime | None]]:
    """Yield approvals, the newest first: decision, until when it reserved, and when that was ended early."""
    approved = OrderDecision.objects.filter(
        account_id=account_id, approved=True, what_if=False, verdict=Verdict.ALLOW, decided_at__gt=since
    ).order_by("-decided_at", "-decision_id")
    seen = 0
    while True:
        rows = list(approved.values_list("decision_id", "answer")[seen : seen + _CHUNK])
        ends = dict(ReservationEnd.objects.filter(pk__in=[pk for pk, _ in rows]).values_list("decision_id", "ended_at"))
        for decision_id, answer in rows:
            held = _approval.decode(answer).reservation
            if held is not None:
                yield decision_id, held.expires_at, ends.get(decision_id)
        if len(rows) < _CHUNK:
            return
        seen += _CHUNK


def _reservations(decisions: list[UUID], book_of: BookOf) -> Iterator[Reservation]:
    """Yield the reservations of these approvals, exactly as they were made."""
    for first in range(0, len(decisions), _CHUNK):
        rows = OrderDecision.objects.filter(pk__in=decisions[first : first + _CHUNK])
        for decision in rows.order_by("decided_at", "decision_id"):
            yield _reservation(decision, book_of)


def _reservation(decision: OrderDecision, book_of: BookOf) -> Reservation:
    inputs = _inputs.decode(decision.inputs)
    held = decide(inputs, book_of(inputs.book_version)).reservation
    recorded = _approval.decode(decision.answer).reservation
    if held is None or recorded is None or held.expires_at_us != microseconds(recorded.expires_at):
        raise CannotRebuild(f"the approval of order {decision.order_id} of {decision.account_id} is not reproduced")
    return held
