"""What most of these tests want: nobody is told of anything, and no breaker trips, unless a test says so."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def quiet(settings) -> None:
    """No breaker, and no way out: of those tests that are about them, each sets what it needs."""
    settings.RISK_BREAKER_COUNT = 0
    settings.NATS_URL = settings.RISK_ALERT_WEBHOOK_URL = ""
    settings.RISK_ALERT_EMAIL_TO = []
