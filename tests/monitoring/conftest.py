"""A live state with accounts that have reported, and a monitor that looks at them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from feeds.books import BOOKS
from monitoring.tick import Monitor
from policies.defaults import ensure_defaults
from policies.services import do_create_account
from riskportal.restore import Outcome, restore_if_empty
from state.wiring import forget_stores
from tests.emergency.world import ACCOUNTS, World


@pytest.fixture(params=["redis", "redis-3-lanes", "memory"])
def world(request, settings, tmp_path, transactional_db) -> Iterator[World]:
    """Five accounts with a million each, on which orders are approved."""
    url = "" if request.param == "memory" else request.getfixturevalue("clean_redis")
    settings.REDIS_URL, settings.RISK_DATA_DIR, settings.RISK_RECOVERY_HOLD = url, tmp_path, None
    settings.RISK_LANES = 3 if request.param == "redis-3-lanes" else 1
    settings.NATS_URL = settings.RISK_ALERT_WEBHOOK_URL = ""
    settings.RISK_ALERT_EMAIL_TO = []
    forget_stores()
    BOOKS.forget()
    ensure_defaults()
    for account_id in ACCOUNTS:
        do_create_account(actor="test", reason="test", account_id=account_id, profile="aggressive", exchange="BINANCE")
    found = World(url, tmp_path)
    assert restore_if_empty(found.store).outcome is Outcome.RESTORED
    found.feed()
    yield found
    found.store.close()
    forget_stores()
    BOOKS.forget()


@pytest.fixture
def monitor(world: World) -> Monitor:
    return Monitor(world.store, BOOKS, timedelta(seconds=1), holder="one")
