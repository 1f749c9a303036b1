"""A live state with accounts that have reported, and a monitor that looks at them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from feeds.books import BOOKS
from monitoring.tick import Monitor
from tests.emergency.conftest import world
from tests.emergency.world import World

__all__ = ["world"]

# Longer than by default: whoever looks has three of them for it, and what is due is counted in them, also on a machine
# that stands still for seconds.
INTERVAL = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def nobody_is_told(settings) -> None:
    """Nothing leaves: what is published is another test's matter."""
    settings.NATS_URL = settings.RISK_ALERT_WEBHOOK_URL = ""
    settings.RISK_ALERT_EMAIL_TO = []


@pytest.fixture
def monitor(world: World) -> Monitor:
    return Monitor(world.store, BOOKS, INTERVAL, holder="one")
