"""What runs by the clock, and that an outage of the broker is survived."""

from __future__ import annotations

import pytest
from celery.beat import Service
from redis.exceptions import ConnectionError as RedisConnectionError

from riskportal import beat, tasks
from riskportal.celery import app, configuration, schedule
from state.store import StateUnavailable


def test_everything_that_is_scheduled_is_a_task(settings):
    app.loader.import_default_modules()
    wanted = {entry["task"] for entry in schedule().values()}
    assert wanted <= set(app.tasks)
    assert {"riskportal.restore_if_empty", "audit.drain_journal", "policies.refresh_book"} <= wanted


def test_the_book_is_refreshed_as_often_as_the_settings_say(settings):
    seconds = settings.RISK_POLICY_REFRESH.total_seconds()
    assert schedule()["refresh-book"]["schedule"] == seconds == 30


def test_each_shard_of_the_monitor_is_looked_at_by_a_task_of_its_own(settings):
    settings.RISK_MONITOR_SHARDS = 3
    ticks = {name: entry["args"] for name, entry in schedule().items() if entry["task"] == "monitoring.tick"}
    assert ticks == {"tick": (0, 3), "tick-1": (1, 3), "tick-2": (2, 3)}


def test_what_waited_through_an_outage_is_dropped():
    for entry in schedule().values():
        assert entry["schedule"] <= entry["options"]["expires"] <= max(5, entry["schedule"])


def test_without_redis_everything_stays_in_the_process():
    embedded = configuration("")
    assert embedded["broker_url"].startswith("memory://")
    assert embedded["beat_scheduler"] == "celery.beat:Scheduler"


def test_with_redis_one_beat_at_a_time_is_at_work():
    production = configuration("redis://localhost/0")
    assert production["beat_scheduler"] == "redbeat.RedBeatScheduler"
    assert production["redbeat_lock_timeout"] == 5


def test_a_restore_that_cannot_be_done_is_tried_again_by_the_next_task(monkeypatch, caplog):
    def away(_store: object) -> None:
        raise StateUnavailable("connection refused")

    monkeypatch.setattr(tasks, "restore_if_empty", away)
    tasks.restore()
    assert "connection refused" in caplog.text


def test_beat_begins_anew_when_its_redis_went_away(monkeypatch, caplog):
    class Answering:
        def ping(self) -> bool:
            return True

    starts = []

    def start(_service: Service) -> None:
        starts.append(1)
        if len(starts) < 3:
            raise RedisConnectionError("gone")

    monkeypatch.setattr(beat, "get_redis", lambda _app: Answering())
    monkeypatch.setattr(beat, "_PAUSE_S", 0)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(Service, "start", start)
    with pytest.raises(SystemExit):
        beat.main()
    assert len(starts) == 3
    assert "gone" in caplog.text
