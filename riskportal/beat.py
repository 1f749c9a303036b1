"""The clock of the tasks as a process, which outlives its Redis.

RedBeat keeps the schedule and the lock, by which one beat at a time is at work, in Redis; when that goes away
or comes back empty, Celery's own beat ends with an error. This one begins anew, as a process manager would
make it do, without taking the other processes down with it.
"""

from __future__ import annotations

import logging
import signal
import time
from types import FrameType
from typing import NoReturn

from celery.beat import Service
from redbeat.schedulers import get_redis
from redis.exceptions import RedisError

from riskportal.celery import app

logger = logging.getLogger(__name__)

_PAUSE_S = 1.0


def main() -> None:
    """Beat until SIGTERM or Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    problem = ""
    while True:
        try:
            _beat()
        except (RedisError, OSError, AttributeError) as error:
            # AttributeError: the lock could not be had in the end, which RedBeat notices at its first tick.
            if str(error) != problem:
                logger.warning("beat begins anew, as often as need be: %s", error)
            problem = str(error)
            time.sleep(_PAUSE_S)


def _beat() -> None:
    """Beat until the process is told to stop, or Redis is not as it was."""
    # Without Redis the service would start without the lock.
    get_redis(app).ping()
    Service(app, scheduler_cls=app.conf.beat_scheduler).start()
    raise SystemExit(0)


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)
