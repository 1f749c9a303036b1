"""What looks have found is recorded beside them: where that takes too long, looks go on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import OperationalError

from monitoring import recording
from monitoring.look import Look
from monitoring.metrics import UNRECORDED
from monitoring.recording import Recorder
from tests.support.patience import PATIENCE_S

NOTHING = Look(at=datetime(2026, 11, 21, tzinfo=UTC), accounts=(), firm=None)


class Database:
    """Takes what is observed as soon as it may."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.error: Exception | None = None
        self.count = 0

    def observe(self, *_arguments: Any) -> None:
        assert self.may.wait(PATIENCE_S)
        self.count += 1
        if self.error is not None:
            raise self.error


@pytest.fixture
def database(monkeypatch) -> Iterator[Database]:
    found = Database()
    monkeypatch.setattr(recording, "observe", found.observe)
    yield found
    found.may.set()


def unrecorded() -> float:
    return float(UNRECORDED._value.get())


def test_a_look_waits_until_it_is_recorded(database: Database) -> None:
    database.may.set()
    Recorder(10).record(NOTHING, ())
    assert database.count == 1


def test_what_goes_wrong_is_raised(database: Database) -> None:
    database.may.set()
    database.error = OperationalError("gone")
    with pytest.raises(OperationalError, match="gone"):
        Recorder(10).record(NOTHING, ())


def test_while_one_is_recorded_the_next_ones_are_not_and_are_counted(database: Database) -> None:
    recorder, before = Recorder(0.01), unrecorded()
    for _ in range(3):
        recorder.record(NOTHING, ())
    assert unrecorded() == before + 2
    database.may.set()
    recorder._thread.shutdown()
    assert database.count == 1


def test_after_that_looks_are_recorded_again(database: Database) -> None:
    recorder = Recorder(0.01)
    recorder.record(NOTHING, ())
    database.may.set()
    assert recorder._last is not None
    recorder._last.result(PATIENCE_S)
    recorder.record(NOTHING, ())
    recorder._thread.shutdown()
    assert database.count == 2


def test_what_goes_wrong_later_is_logged(database: Database, caplog) -> None:
    database.error = OperationalError("gone")
    recorder = Recorder(0.01)
    recorder.record(NOTHING, ())
    database.may.set()
    recorder._thread.shutdown()
    assert "what a look has found is not recorded: gone" in caplog.text
