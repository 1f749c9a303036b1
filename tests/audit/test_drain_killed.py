"""A draining process that is killed outright, again and again, on the stores and the database of the run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from audit.drain import drain
from audit.models import JournalReject, OrderDecision
from riskcore.ports import AccountQuery, Commit, Committed, Load
from state.memory_store import MemoryStore
from state.redis_store import RedisStore
from state.store import Store
from state.wiring import forget_stores, store
from tests.audit.subjects import decided, inputs
from tests.support.patience import REDIS_S

ROOT = Path(__file__).parents[2]
# Starts a process that drains for each line that it is given, and tells its id and how it ended. As a child of one
# that has loaded everything it begins at once.
DRAIN = """
import os, sys
import django; django.setup()
from audit.drain import drain
from state.wiring import store
for _ in iter(sys.stdin.readline, ""):
    child = os.fork()
    if child == 0:
        while drain(store(), batch=40):
            pass
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def journal(target: Store, account_id: str, *entries: bytes) -> None:
    """Write entries into the journal of an account's lane, as a check does."""
    reload = Load(accounts=(AccountQuery(account_id=account_id),))
    written = target.commit(Commit(expect=None, changes=(), journal=entries, reload=reload))
    assert isinstance(written, Committed)


@pytest.fixture
def three_lanes(request) -> Iterator[Store]:
    """A store with several journals: Redis where the run has it."""
    found = (
        RedisStore(request.getfixturevalue("clean_redis"), lanes=3, timeout_s=REDIS_S)
        if settings.REDIS_URL
        else MemoryStore()
    )
    yield found
    found.close()


@pytest.fixture
def emptied(request, transactional_db) -> Iterator[None]:
    """The journal of this process's store, empty before and after."""
    if settings.REDIS_URL:
        request.getfixturevalue("clean_redis")
    forget_stores()
    yield
    drain(store())
    store().close()
    forget_stores()


@pytest.mark.django_db
def test_every_lane_of_a_real_store_is_drained(three_lanes):
    accounts = [f"desk-{number}" for number in range(12)]
    for account_id in accounts:
        journal(three_lanes, account_id, *(decided(inputs(account_id=account_id)) for _ in range(3)))
    assert drain(three_lanes, batch=5) == 36
    assert set(OrderDecision.objects.values_list("account_id", flat=True)) == set(accounts)
    assert sum(three_lanes.journal_length(lane) for lane in range(three_lanes.lanes)) == 0
    assert drain(three_lanes) == 0


@pytest.mark.fault
@pytest.mark.slow
def test_whenever_it_is_killed_every_decision_is_kept_once(emptied):
    wanted = [inputs() for _ in range(1500)]
    for first in range(0, len(wanted), 100):
        journal(store(), "desk-1", *map(decided, wanted[first : first + 100]))
    store().close()  # an embedded journal has one user at a time
    ends = Counter[int]()
    with _draining() as parent:
        while OrderDecision.objects.count() < len(wanted):
            child = _told(parent, "drain\n")
            time.sleep(random.uniform(0, 0.05 * ends.total()))
            with suppress(ProcessLookupError):  # it has ended by itself
                os.kill(child, signal.SIGKILL)
            ends[_told(parent)] += 1
    assert ends[-signal.SIGKILL]
    assert ends.keys() <= {-signal.SIGKILL, 0}
    drain(store())
    kept = {str(decision_id) for decision_id in OrderDecision.objects.values_list("decision_id", flat=True)}
    assert kept == {each.decision_id for each in wanted}
    assert not JournalReject.objects.exists()
    assert store().journal_length(0) == 0


def _told(parent: subprocess.Popen[str], line: str = "") -> int:
    """Give the parent of those that drain a line, and return the number that it tells."""
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.write(line)
    parent.stdin.flush()
    return int(parent.stdout.readline())


@contextmanager
def _draining() -> Iterator[subprocess.Popen[str]]:
    """Start the parent of processes that drain, and end it."""
    database = connection.settings_dict
    url = f"sqlite:///{database['NAME']}"
    if connection.vendor == "postgresql":
        user = f"{database['USER']}:{database['PASSWORD']}"
        url = f"postgresql://{user}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "riskportal.settings"}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", DRAIN], cwd=ROOT, env=environment, **pipes) as parent:
        yield parent
