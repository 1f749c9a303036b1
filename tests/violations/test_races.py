"""Any number of processes may look at the same accounts at once: everything happens once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.violations.subjects import at, broken, look
from violations import breaker
from violations.metrics import PUBLISHED, TRIPS, VIOLATIONS
from violations.models import Alert, BreakerTrip, Delivery, Violation
from violations.services import Observed

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parents[2]
ACCOUNTS = [f"acc-{number:03}" for number in range(40)]

# Looks at every second that comes in, as a monitor would, and says what it did.
MONITOR = """
import sys
import django; django.setup()
from django.conf import settings
from datetime import datetime
from tests.violations import subjects
from tests.violations.subjects import broken, look
subjects.START = datetime.fromisoformat(sys.argv[2])
settings.RISK_BREAKER_COUNT = 0
accounts = sys.argv[1].split(",")
print("ready", flush=True)
for line in sys.stdin:
    second = int(line)
    found = [] if second == 9 else [broken(account_id=each) for each in accounts]
    seen = look(second, *found, accounts=accounts)
    print(len(seen.opened), seen.continued, len(seen.closed), len(seen.published), len(seen.resolved), flush=True)
"""


def at_once(count: int, run: Callable[[int], Any]) -> list[Any]:
    """Run it in so many threads at the same moment, and return what each returned."""
    start, found = threading.Barrier(count), [None] * count

    def go(number: int) -> None:
        start.wait()
        try:
            found[number] = run(number)
        finally:
            connection.close()

    threads = [threading.Thread(target=go, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def all_broken(second: int, number: int) -> Observed:
    """Look at every account, every other time from the last to the first."""
    found = [broken(account_id=each) for each in (reversed(ACCOUNTS) if number % 2 else ACCOUNTS)]
    return look(second, *found, accounts=ACCOUNTS)


def one_broken(second: int, engage: breaker.Engage, _number: int) -> Observed:
    return look(second, broken(), engage=engage)


def total(seen: list[Observed], what: str) -> int:
    counts = [getattr(each, what) for each in seen]
    return sum(each if isinstance(each, int) else len(each) for each in counts)


def test_many_looks_at_the_same_moments_are_one(settings):
    settings.RISK_ALERT_WEBHOOK_URL = "http://127.0.0.1:9/"
    counted = VIOLATIONS.labels("hard", "Max Leverage")._value.get(), PUBLISHED.labels("critical")._value.get()
    for second in range(4):
        seen = at_once(6, partial(all_broken, second))
        assert total(seen, "opened") == (40 if second == 0 else 0)
        assert total(seen, "continued") == (0 if second == 0 else 40)
        assert total(seen, "published") == (40 if second == 0 else 0)
    assert set(Violation.objects.values_list("observations", flat=True)) == {4}
    assert Violation.objects.count() == Alert.objects.count() == Delivery.objects.count() == 40
    after = VIOLATIONS.labels("hard", "Max Leverage")._value.get(), PUBLISHED.labels("critical")._value.get()
    assert (after[0] - counted[0], after[1] - counted[1]) == (40, 40)
    seen = at_once(6, lambda _: look(9, accounts=ACCOUNTS))
    assert (total(seen, "closed"), total(seen, "resolved")) == (40, 40)


def test_two_processes_are_one_monitor():
    database = connection.settings_dict
    if connection.vendor == "postgresql":
        user = f"{database['USER']}:{database['PASSWORD']}"
        url = f"postgresql://{user}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    else:
        url = f"sqlite:///{database['NAME']}"
    environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "riskportal.settings"}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", MONITOR, ",".join(ACCOUNTS), at(0).isoformat()]
    monitors = [subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) for _ in range(2)]
    try:
        assert [_said(each) for each in monitors] == ["ready", "ready"]
        sums = [[0] * 5 for _ in range(10)]
        for second in range(10):
            for each in monitors:
                assert each.stdin is not None
                each.stdin.write(f"{second}\n")
                each.stdin.flush()
            for each in monitors:
                sums[second] = [one + int(other) for one, other in zip(sums[second], _said(each).split(), strict=True)]
    finally:
        for each in monitors:
            each.kill()
            each.communicate()
    assert sums[0] == [40, 0, 0, 40, 0]
    assert sums[1:9] == [[0, 40, 0, 0, 0]] * 8
    assert sums[9] == [0, 0, 40, 0, 40]


def test_the_breaker_trips_once_for_all(settings, monkeypatch):
    settings.RISK_BREAKER_COUNT = 5
    monkeypatch.setattr(breaker, "_stops", lambda: ())
    calls: list[str] = []

    def engage(**asked: Any) -> None:
        calls.append(asked["scope_id"])

    before = TRIPS._value.get()
    for second in range(5):
        at_once(6, partial(one_broken, second, engage))
    at_once(6, lambda _: breaker.engage_pending(engage))
    assert calls == ["A"]
    assert (BreakerTrip.objects.count(), TRIPS._value.get() - before) == (1, 1)
    assert BreakerTrip.objects.get().at == at(4)


def test_a_trip_that_waits_is_engaged_by_one_of_many(settings, monkeypatch):
    settings.RISK_BREAKER_COUNT = 1
    monkeypatch.setattr(breaker, "_stops", lambda: ())
    monkeypatch.setattr(breaker, "engage_pending", lambda _engage=None: 0)
    look(0, broken())
    monkeypatch.undo()
    calls: list[str] = []
    engaged = at_once(6, lambda _: breaker.engage_pending(lambda **asked: calls.append(asked["scope_id"])))
    assert (sum(engaged), calls) == (1, ["A"])


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
