"""What runs by the clock."""

from __future__ import annotations

import logging
import threading
from functools import partial

from celery import shared_task
from django.conf import settings
from django.db import InterfaceError, OperationalError

from bus.asking import ask_all
from emergency.keeping import keep
from emergency.unwind import ASK_S, Unwinder
from state.store import StateUnavailable
from state.wiring import store

logger = logging.getLogger(__name__)

# What a worker has not taken up by then the clock has.
_SOON_S = 5.0

_making = threading.Lock()
_unwinder: Unwinder | None = None


def unwinder() -> Unwinder:
    """Return the one of this process that sees stops through."""
    global _unwinder  # noqa: PLW0603 - one for the process, made when it is first asked for
    with _making:
        if _unwinder is None:
            ask = partial(ask_all, within_s=ASK_S)
            _unwinder = Unwinder(store(), ask, timeout=settings.RISK_UNWIND_TIMEOUT)
        return _unwinder


@shared_task(name="emergency.keep_stops", ignore_result=True)
def keep_stops() -> None:
    """Record stops that are not recorded yet, and put right what differs between their flags and their record."""
    try:
        keep(store())
    except (StateUnavailable, OperationalError, InterfaceError) as error:
        logger.warning("flags and record of stops are not compared for now: %s", error)


@shared_task(name="emergency.unwind", ignore_result=True)
def unwind() -> None:
    """Have the OMS cancel and close what stops ask for, and say how far it is. Every second, and after each stop."""
    try:
        unwinder().advance()
    except StateUnavailable as error:
        logger.warning("what stops ask of the OMS waits: %s", error)


def unwind_soon() -> None:
    """Have a worker see to the stops at once, if one can be told; within a second it does so anyway.

    Returns at once and never raises: telling a broker takes its time, and a stop must not wait for it.
    """
    try:
        threading.Thread(target=_call_a_worker, name="unwind soon", daemon=True).start()
    except RuntimeError as error:  # no thread is left
        logger.warning("no worker is told of a stop, it is found by the clock: %s", error)


def _call_a_worker() -> None:
    try:
        unwind.apply_async(expires=_SOON_S, retry=False)
    except Exception as error:  # whatever it is, the stop is in force
        logger.warning("no worker could be told of a stop, it is found by the clock: %s", error)
