"""A live state on each kind of store, restored, fed and with accounts; whatever is changed really commits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from feeds.books import BOOKS
from policies.defaults import ensure_defaults
from policies.services import do_create_account
from riskportal.restore import Outcome, restore_if_empty
from state.wiring import forget_stores
from tests.emergency.world import ACCOUNTS, World
from tests.support.beginning import begin_with


@pytest.fixture(params=["redis", "redis-3-lanes", "memory"])
def world(request, settings, tmp_path, transactional_db) -> Iterator[World]:
    """A live state on which orders are approved."""
    yield from alive(request, settings, tmp_path, request.param)


@pytest.fixture
def many_lanes(request, settings, tmp_path, transactional_db) -> Iterator[World]:
    """The same, in three lanes of Redis."""
    yield from alive(request, settings, tmp_path, "redis-3-lanes")


def alive(request, settings, tmp_path, kind: str) -> Iterator[World]:
    """Yield a live state of a kind, on which orders are approved."""
    url = "" if kind == "memory" else request.getfixturevalue("clean_redis")
    settings.REDIS_URL, settings.RISK_DATA_DIR = url, tmp_path
    settings.RISK_LANES = 3 if kind == "redis-3-lanes" else 1
    forget_stores()
    BOOKS.forget()
    begin_with("accounts", _rows)
    found = World(url, tmp_path)
    assert restore_if_empty(found.store).outcome is Outcome.RESTORED
    found.feed()
    yield found
    found.store.close()
    forget_stores()
    BOOKS.forget()


def _rows() -> None:
    ensure_defaults()
    for account_id in ACCOUNTS:
        do_create_account(actor="test", reason="test", account_id=account_id, profile="aggressive", exchange="BINANCE")


@pytest.fixture
def published(monkeypatch) -> list[object]:
    """What was published since, in its order."""
    found: list[object] = []
    monkeypatch.setattr("emergency.services.publish", found.append)
    monkeypatch.setattr("emergency.lifting.publish", found.append)
    monkeypatch.setattr("emergency.unwind.publish", found.append)
    return found
