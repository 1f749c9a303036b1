"""What there is to be seen: what cannot be read shows what it showed last, and says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from django.db import OperationalError

from api.errors import recovering
from dashboard.looking import Looking, Part, Sections
from dashboard.pictures import Rows, View, row
from dashboard.telling import Told, Word
from state.store import StateUnavailable
from tests.dashboard.ticks import tick

pytestmark = pytest.mark.django_db

EVERYTHING = View()


class Clock:
    """Seconds, as the test says."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Source:
    """A part that counts how often it was read, takes its time, and fails with what the test says."""

    def __init__(self, clock: Clock, *, takes_s: float = 0.0) -> None:
        self.reads, self.takes_s, self._clock = 0, takes_s, clock
        self.error: Exception | None = None

    def read(self, watched: tuple[str, ...]) -> Sections:
        self.reads += 1
        self._clock.now_s += self.takes_s
        if self.error is not None:
            raise self.error
        return {"book": Rows({"now": row([self.reads, *watched])})}


def seen(found: Sections) -> dict[str, Any]:
    return {
        name: {key: msgspec.json.decode(raw) for key, raw in section.seen(EVERYTHING).items()}
        for name, section in found.items()
    }


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (StateUnavailable("10.1.2.3 refused"), "the live state cannot be reached or read"),
        (OperationalError("host db-7"), "the database cannot be reached"),
        (recovering(), recovering().detail),
        (RuntimeError("secret"), "it could not be worked out; the log has the reason"),
    ],
)
def test_what_cannot_be_read_is_shown_as_it_was_and_said_to_be_old(clock, error, why):
    source = Source(clock)
    looking = Looking(Told(), [Part(("book",), source.read)], clock=clock, work=clock)
    assert seen(looking.look(())) == {"book": {"now": [1]}, "trouble": {}}
    source.error = error
    found = seen(looking.look(()))
    assert found["book"] == {"now": [1]}
    assert found["trouble"]["book"]["why"] == why
    assert seen(looking.look(()))["trouble"]["book"]["since"] == found["trouble"]["book"]["since"]
    source.error = None
    assert seen(looking.look(()))["trouble"] == {}


def test_one_part_that_fails_leaves_the_others_alone(clock):
    bad, good = Source(clock), Source(clock)
    bad.error = StateUnavailable("away")
    looking = Looking(
        Told(), [Part(("firm", "accounts"), bad.read), Part(("book",), good.read)], clock=clock, work=clock
    )
    found = seen(looking.look(("A",)))
    assert found["book"] == {"now": [1, "A"]}
    assert found["trouble"].keys() == {"firm", "accounts"}


def test_what_takes_long_is_read_less_often(clock):
    source = Source(clock, takes_s=0.5)
    looking = Looking(Told(), [Part(("book",), source.read)], clock=clock, work=clock)
    looking.look(())
    clock.now_s += 4.4
    looking.look(())
    assert source.reads == 1
    clock.now_s += 0.2
    looking.look(())
    assert source.reads == 2


@pytest.mark.parametrize(("subject", "payload", "reads"), [("risk.emergency", b"{}", 2), ("risk.metrics", tick(), 1)])
def test_an_event_has_everything_read_at_once_and_the_monitor_what_is_due(clock, subject, payload, reads):
    source = Source(clock)
    looking = Looking(Told(), [Part(("book",), source.read, every_s=60)], clock=clock, work=clock)
    looking.look(())
    clock.now_s += 1.0
    assert looking.hear(subject, payload) is True
    looking.look(())
    looking.look(())
    assert source.reads == reads


def test_what_the_monitor_saw_is_looked_at_when_all_of_it_is_there_and_not_with_every_shard(clock):
    looking = Looking(Told(), [], clock=clock, work=clock)
    first, last = (tick(part=part, parts=2) for part in (1, 2))
    assert [looking.hear("risk.metrics", each) for each in (first, last)] == [False, True]
    looking.look(())
    clock.now_s += 0.3
    assert looking.hear("risk.metrics", last) is False
    clock.now_s += 0.7
    assert looking.hear("risk.metrics", last) is True


@pytest.mark.parametrize("payload", [b"", b"{}", b"\xff"])
def test_a_message_of_the_monitor_that_cannot_be_read_is_passed_over(clock, payload):
    told = Told()
    assert Looking(told, [], clock=clock, work=clock).hear("risk.metrics", payload) is False
    assert told.at is None


def hears(told: Told) -> Callable[..., Word]:
    return lambda **what: told.hear("risk.metrics", tick(**what))


def test_the_newest_figures_of_each_account_count():
    told = Told()
    hear = hears(told)
    hear(second=1, accounts={"A": "10", "": "30"})
    hear(second=2, accounts={"A": "11", "B": "5"})
    hear(second=1, accounts={"A": "12"})
    assert {name: str(each.equity) for name, each in told.accounts().items()} == {"A": "11", "B": "5"}
    firm = told.firm()
    assert firm is not None
    assert str(firm.equity) == "30"


def test_an_account_that_is_told_of_no_more_is_forgotten():
    told = Told()
    hear = hears(told)
    hear(second=1, accounts={"A": "10", "B": "5"})
    hear(second=12, accounts={"A": "10"})
    assert told.accounts().keys() == {"A"}
