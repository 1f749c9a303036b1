"""Limits and the clocks of people: what is to hold at a time of theirs holds then, also where the clocks are changed.

The zones of these tests change their clocks within the minute, so that real processes see it on real clocks.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.installation import ROOT, Client, Production, production, wait_for
from tests.support.zones import settings, write_zone

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ZONE = "Test/Officers"
LIMIT = "Max Account Leverage"
NOTHING, SECOND, HOUR = timedelta(), timedelta(seconds=1), timedelta(hours=1)
# Until the clocks are changed: what is to come before that has to fit in on a busy machine.
SOON = timedelta(seconds=20)

_ids = (f"clock-{number}" for number in itertools.count())
_thresholds = (f"{9 - number / 10}" for number in itertools.count())


@dataclass
class ClockChange:
    """Clocks that are ahead of UTC by `before`, and from `at` on by `shift` more."""

    at: datetime
    before: timedelta
    shift: timedelta

    def shown(self, later: timedelta) -> str:
        """Return what the clocks show so long after they were changed; before that what they would have shown."""
        return (self.at + self.before + self.shift + later).replace(tzinfo=None).isoformat()


@dataclass
class Office:
    """An installation, and the zones that its processes know."""

    system: Production
    zones: Path

    def change_clocks(self, name: str, *, at_wall: timedelta, shift: timedelta) -> ClockChange:
        """Have the clocks of a zone changed soon, when they show `at_wall` after midnight."""
        at = (datetime.now(UTC) + SOON).replace(microsecond=0)
        midnight = at.replace(hour=0, minute=0, second=0)
        before = (at_wall - (at - midnight) + 12 * HOUR) % (24 * HOUR) - 12 * HOUR
        write_zone(self.zones, name, at, before, before + shift)
        return ClockChange(at, before, shift)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    zones = tmp_path_factory.mktemp("zones")
    write_zone(zones, ZONE, datetime.now(UTC), HOUR, HOUR)
    fast = {"RISK_POLICY_REFRESH": "1s", "RISK_BREAKER_COUNT": "0", "RISK_RESERVATION_TTL": "1s"}
    known = {"RISK_DAY_ZONE": ZONE, **settings(zones), **fast}
    with production(tmp_path_factory.mktemp("clocks"), roles=("web", "asgi"), **known) as system:
        python(system, "from django.contrib.auth.models import User; User.objects.create_superuser('olga')")
        yield Office(system, zones)


def python(system: Production, program: str) -> str:
    """Run a program in a process of the installation, which reads its zones anew; return what it wrote."""
    done = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup()\n{program}"],
        cwd=ROOT,
        env={**system.env, "DJANGO_SETTINGS_MODULE": "riskportal.settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SCHEDULE = """
from django.contrib.auth.models import User
from django.test import Client
officer = Client(headers={{"host": "127.0.0.1"}})
officer.force_login(User.objects.get(username="olga"))
page = f"/admin/policies/changerequest/{number}/"
for at in {walls!r}:
    given = {{"what": "schedule", "version": "{version}", "at": at}}
    answer = officer.post(page + "act/", given, follow=True)
    assert answer.status_code == 200, answer
    print(answer.content.decode())
"""


def schedule(system: Production, asked: dict[str, Any], *walls: str) -> str:
    """Press the button that schedules a request, for one time of the officers' clocks after the other."""
    return python(system, SCHEDULE.format(number=asked["id"], version=asked["version"], walls=walls))


def tighter(client: Client) -> dict[str, Any]:
    """Ask for a tighter limit."""
    (limit,) = [each for each in client.get("/risk/policies").json()["results"] if each["name"] == LIMIT]
    body = {"id": limit["id"], "version": limit["version"], "threshold": next(_thresholds), "reason": "For the night"}
    asked = client.patch("/risk/policies", json=body)
    assert asked.status_code < 300, asked.text
    return dict(asked.json())


@pytest.mark.parametrize("shift", [HOUR, -2 * SECOND], ids=["forward", "back"])
def test_what_is_scheduled_across_a_change_of_the_clocks_goes_live_once_at_that_time(office, shift):
    system = office.system
    killed = [system.add(role) for role in ("worker", "beat")]
    asked = tighter(system.wsgi)
    change = office.change_clocks(ZONE, at_wall=2 * HOUR, shift=shift)
    moment = change.at + SOON
    wrong, problem = (-SECOND, "is left out") if shift > NOTHING else (SECOND, "comes twice")
    said = schedule(system, asked, change.shown(wrong), change.shown(SOON))
    assert f"This time {problem} on that day" in said
    for program in killed:
        program.kill()
    for role in ("worker", "worker", "beat"):
        system.add(role)
    path = f"/risk/requests/{asked['id']}"
    wait_for(lambda: system.wsgi.get(path).json()["state"] == "published", seconds=90, what="the scheduled request")
    of_request = "FROM policies_requeststep s JOIN policies_changerequest r ON r.id = s.request_id"
    notes = system.rows(f"SELECT note {of_request} WHERE r.id = %s AND s.what = 'scheduled'", asked["id"])
    assert notes == [(f"For {moment:%Y-%m-%d %H:%M:%S} UTC",)]
    published = system.rows(
        f"SELECT s.at, b.created_at {of_request} JOIN policies_book b ON b.version = r.book_id "
        "WHERE r.id = %s AND s.what = 'published'",
        asked["id"],
    )
    assert len(published) == 1
    assert min(published[0]) >= moment
    for program in system.others:
        program.kill()


# When a limit is in force on clocks that are changed at 02:00 or at 03:00 by an hour: before that, and after it.
FORWARD = {
    "03:00-04:00": (False, True),  # that hour begins an hour early
    "01:00-03:00": (True, False),
    "02:30-05:00": (True, True),  # 02:30 is left out: it begins at the earlier moment that may be meant
    "04:00-05:00": (False, False),
}
BACK = {
    "01:00-02:00": (True, False),  # 02:00 comes twice: it ends with the second
    "02:30-02:45": (True, True),
    "03:00-04:00": (False, False),  # what would be 03:00 is 02:00 again
    "02:00-03:00": (True, True),
}


@pytest.mark.parametrize(
    ("at_wall", "shift", "hours"), [(2 * HOUR, HOUR, FORWARD), (3 * HOUR, -HOUR, BACK)], ids=["forward", "back"]
)
def test_limits_of_some_hours_hold_by_the_clocks_before_and_after_they_are_changed(office, at_wall, shift, hours):
    system, zone = office.system, f"Test/Hours{next(_ids)}"
    change = office.change_clocks(zone, at_wall=at_wall, shift=shift)
    for text in hours:
        forbid(system.wsgi, strategy=f"{zone} {text}", window=f"daily {text} {zone}")
    seen: set[tuple[str, bool]] = set()

    def both_sides() -> bool:
        for text, in_force in hours.items():
            for client in (system.wsgi, system.asgi):
                feed(client)
                decision = client.check(next(_ids), account_id="desk", strategy_id=f"{zone} {text}").json()
                changed = datetime.fromisoformat(decision["timestamp"]) >= change.at
                assert decision["approved"] is not in_force[changed], (text, decision)
                seen.add((text, changed))
        return len(seen) == 2 * len(hours)

    wait_for(both_sides, seconds=90, what="the change of the clocks")


def forbid(client: Client, *, strategy: str, window: str) -> None:
    """Publish a limit that lets no order of a strategy through in a window."""
    limit = {
        **{"name": f"Never by {strategy}", "metric": "order_quantity", "operator": "<=", "threshold": "0.0001"},
        **{"scope": "strategy", "scope_ids": [strategy], "active_windows": [window], "reason": "Nobody is in"},
    }
    asked = client.post("/risk/policies", json=limit)
    assert asked.status_code < 300, asked.text
    body = {"version": asked.json()["version"]}
    made = client.post(f"/risk/requests/{asked.json()['id']}/publish", json=body)
    assert made.status_code < 300, made.text


def feed(client: Client) -> None:
    client.put("/risk/prices", json={"prices": [{"symbol": "BTCUSDT", "price": "50000"}]})
    state = {"equity": "100000", "margin_used": "0", "positions": []}
    client.put("/risk/accounts/desk/state", json=state)
