"""What an embedded installation with the simulated market has from the first moment on."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime, time, timedelta

from django.conf import settings

from feeds.models import Interval, PriceBar
from feeds.price_files import Bar, PriceFile
from feeds.price_import import do_import_prices
from feeds.returns import publish_returns
from riskportal.signin import ACTOR
from simulator.past import closes

_DAYS = 250


def ensure_past(now: datetime) -> None:
    """Give the simulated market a past where there are no daily prices at all, so that value at risk can be told."""
    if PriceBar.objects.filter(interval=Interval.DAY).exists():
        return
    yesterday = (now - timedelta(days=1)).date()
    # It is made up like the market itself: the same each time, and no secret.
    made = sorted(closes(yesterday, _DAYS, random.Random(1)))  # noqa: S311
    bars = [
        Bar(symbol, datetime.combine(day, time(), UTC), open=None, high=None, low=None, close=close, volume=None)
        for symbol, day, close in made
    ]
    content = PriceFile(
        bars=bars, blanks=0, layout="long", date_format="", sha256=hashlib.sha256(repr(made).encode()).hexdigest()
    )
    reason = "A past for the simulated market"
    do_import_prices(content, interval=Interval.DAY, actor=ACTOR, reason=reason, name="made up by the simulator")
    publish_returns(now, days=settings.RISK_VAR_DAYS)
