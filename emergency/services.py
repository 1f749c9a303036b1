"""Stopping trading, and re-enabling it.

`do_engage_stop` raises the flag first, in every lane of the live state, and writes the record after: it works while the
database is away. `do_re_enable` writes the record first and takes the flag down after the commit: whatever fails in
between, trading stays stopped, and `emergency.tasks` finishes what was begun.
"""

from __future__ import annotations

import logging
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import Error as DatabaseError
from msgspec import Struct
from msgspec.structs import replace

from audit.acting import Acting
from bus.publish import publish
from emergency import metrics
from emergency.flags import Raised, raise_flag
from emergency.lifting import Lifted, do_re_enable
from emergency.models import ENGAGE_STOP, STOPPING
from emergency.notes import AccountThen, Note, StopNote, accounts_notes, encode
from emergency.persons import demand_scope
from emergency.records import asked_again, engaged_event, record_notes, record_stop
from emergency.snapshot import take_snapshot
from emergency.tasks import unwind_soon
from emergency.words import Trigger
from riskcore.calendar import moment
from riskcore.ports import StopScope
from riskcore.types import TradingState
from state.store import StateUnavailable, Store
from state.wiring import store

__all__ = ["Engaged", "Lifted", "do_engage_stop", "do_re_enable"]

logger = logging.getLogger(__name__)

LONGEST_NAME = 64
LONGEST_ACTOR = 200
LONGEST_REASON = 2_000

# Names that orders have in upper case.
_UPPER = (StopScope.SYMBOL, StopScope.EXCHANGE)


class Engaged(Struct, frozen=True, kw_only=True):
    """A stop that is in force in every process.

    `new` False: it was in force before and is at least as severe as the one asked for. `recorded` False: the database
    is away, and the record is written when it is back. `accounts` counts those in its scope that were recorded as they
    were, None for a stop that is not new.
    """

    stop_id: str
    scope: StopScope
    scope_id: str
    state: TradingState
    unwind: bool
    engaged_at: datetime
    new: bool
    recorded: bool
    accounts: int | None


def do_engage_stop(
    *,
    acting: Acting,
    reason: str,
    trigger: Trigger | str,
    scope: StopScope | str,
    scope_id: str = "",
    state: TradingState = TradingState.HALTED,
    unwind: bool = False,
    triggered_by: str = "",
) -> Engaged:
    """Stop trading in a scope. When this returns, no process approves an order there until it is re-enabled.

    Parameters
    ----------
    reason
        Why, for people: at most 2,000 characters.
    trigger
        What kind of thing that is.
    scope, scope_id
        Where: the id is empty for global scope, and upper-cased for symbols and exchanges.
    state
        HALTED, or REDUCING, in which orders pass that strictly reduce a position.
    unwind
        Close positions too. A stop in force that does not is no answer to one that does.
    triggered_by
        The person, policy or part that asks, in the words of whoever acts, who it is if left out: whoever re-enables
        is somebody else.

    Raises
    ------
    NotAllowed
        `acting` may not stop trading, or not there; nothing is stopped.
    ValidationError
        By field; nothing is stopped.
    StateUnavailable
        The live state cannot be reached: no order is approved while that is so, but the stop may not be in force once
        it is back. Call again.
    """
    acting.demand(ENGAGE_STOP)
    asked = _asked(acting, reason, triggered_by, trigger, scope, scope_id, state, unwind=unwind)
    demand_scope(acting, asked.scope, asked.scope_id)
    live = store()
    raised = raise_flag(live, asked)
    return _recorded_new(live, raised.note) if raised.new else _recorded_again(live, raised, asked)


def _recorded_new(live: Store, note: StopNote) -> Engaged:
    """Write down a stop that has just come into force. It is in force whatever fails here."""
    metrics.stops.inc()
    logger.critical(
        "emergency stop %s: %s %s %s by %s: %s",
        *(note.id, note.state, note.scope, note.scope_id, note.triggered_by, note.reason),
    )
    publish(engaged_event(note))
    unwind_soon()
    accounts = take_snapshot(live, note.scope, note.scope_id)
    try:
        record_stop(note, accounts, is_new=True)
        recorded = True
    except Exception as error:  # whatever it is: the stop is in force, and must not be taken for one that is not
        known = isinstance(error, DatabaseError)
        logger.error("stop %s is in force and not recorded yet: %s", note.id, error, exc_info=not known)
        recorded = False
        _keep(live, (note, *accounts_notes(note.id, accounts)))
    return _engaged(note, new=True, recorded=recorded, accounts=accounts)


def _recorded_again(live: Store, raised: Raised, asked: StopNote) -> Engaged:
    """Add to the timeline of a stop in force that it was asked for again; whoever called it first may have failed."""
    note = raised.note if raised.note.engaged_at_us else replace(raised.note, engaged_at_us=raised.at_us)
    step = asked_again(
        note.id,
        raised.at_us,
        triggered_by=asked.triggered_by,
        trigger=asked.trigger,
        reason=asked.reason,
    )
    try:
        record_notes((note, step))
        recorded = True
    except Exception as error:  # it is in force
        known = isinstance(error, DatabaseError)
        logger.error("stop %s was asked for again, not recorded yet: %s", note.id, error, exc_info=not known)
        recorded = False
        _keep(live, (step,))
    return _engaged(note, new=False, recorded=recorded)


def _keep(live: Store, notes: tuple[Note, ...]) -> None:
    """Keep in the live state what the database does not take now."""
    try:
        live.put_stop_notes({note.name: encode(note) for note in notes})
    except StateUnavailable as error:
        logger.error("a stop is in force, and part of what is known of it is lost: %s", error)


def _engaged(note: StopNote, *, new: bool, recorded: bool, accounts: list[AccountThen] | None = None) -> Engaged:
    return Engaged(
        stop_id=note.id,
        scope=note.scope,
        scope_id=note.scope_id,
        state=note.state,
        unwind=note.unwind,
        engaged_at=moment(note.engaged_at_us or note.asked_at_us),
        new=new,
        recorded=recorded,
        accounts=None if accounts is None else len(accounts),
    )


# ------------------------------------------------------------------------------------- what was asked for
def _asked(
    acting: Acting,
    reason: str,
    triggered_by: str,
    trigger: Trigger | str,
    scope: StopScope | str,
    scope_id: str,
    state: TradingState | str,
    *,
    unwind: bool,
) -> StopNote:
    errors: dict[str, str] = {}
    by = triggered_by or acting.name
    for name, text, longest in (("reason", reason, LONGEST_REASON), ("triggered_by", by, LONGEST_ACTOR)):
        if not text.strip() or len(text) > longest:
            errors[name] = f"Expected 1 to {longest:,} characters."
    if state not in STOPPING:
        errors["state"] = f"Expected {' or '.join(STOPPING)}, not {state}."
    if trigger not in list(Trigger):
        errors["trigger"] = f"Expected one of {', '.join(Trigger)}, not {trigger}."
    if scope not in list(StopScope):
        errors["scope"] = f"Expected one of {', '.join(StopScope)}, not {scope}."
    elif problem := _wrong_id(StopScope(scope), scope_id):
        errors["scope_id"] = problem
    if errors:
        raise ValidationError(errors)
    where = StopScope(scope)
    return StopNote(
        id="",
        scope=where,
        scope_id=scope_id.strip().upper() if where in _UPPER else scope_id.strip(),
        state=TradingState(state),
        reason=reason.strip(),
        triggered_by=by.strip(),
        trigger=Trigger(trigger),
        unwind=unwind,
        actor=acting.name,
        asked_at_us=0,
    )


def _wrong_id(scope: StopScope, scope_id: str) -> str:
    """Return what is wrong with the id of a scope, empty where nothing is."""
    if scope is StopScope.GLOBAL:
        return "Leave it out: a global stop is for everything." if scope_id else ""
    if not scope_id.strip() or len(scope_id) > LONGEST_NAME or not scope_id.isprintable():
        return f"Name the {scope} to stop, with 1 to {LONGEST_NAME} characters."
    return ""
