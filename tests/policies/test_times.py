"""Hours, rollouts and volatility of limits: as officers write them, in the book, and on the next order."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from policies.book import build_book
from policies.wording import sentence
from riskcore.book import Mode, Policy, VolatilityScale
from riskcore.calendar import microseconds
from riskcore.schedule import ActiveWindow
from tests.policies.subjects import limit

pytestmark = pytest.mark.usefixtures("defaults")


def in_book(**fields: Any) -> Policy:
    """Return a limit as the book has it."""
    made = limit("Timed", **fields)
    (found,) = (each for each in build_book(1).policies if each.id == str(made.row.id))
    return found


def refused(**fields: Any) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as error:
        limit("Timed", **fields)
    return error.value.message_dict


def test_without_any_it_holds_always_and_for_everybody():
    found = in_book()
    assert (found.mode, found.active, found.rollout_percent, found.volatility) == (Mode.ENFORCE, (), 100, None)
    assert (found.effective_from_us, found.effective_until_us) == (0, 0)


def test_windows_are_written_in_one_way():
    lines = [
        "mon,tue,wed 09:30-16:00   America/New_York",
        "daily 00:00-24:00 UTC",
        "Mon-Wed 09:30-16:00 America/New_York",
    ]
    found = in_book(active_windows=lines)
    hours = ActiveWindow(zone="America/New_York", days=(0, 1, 2), from_minute=570, to_minute=960)
    assert found.active == (hours, ActiveWindow())
    assert "Mon-Wed 09:30-16:00 America/New_York and daily 00:00-24:00 UTC" in sentence(found)


def test_moments_shares_and_modes_are_in_the_book():
    begin, end = datetime(2026, 12, 1, tzinfo=UTC), datetime(2026, 12, 24, tzinfo=UTC)
    found = in_book(effective_from=begin, effective_until=end, rollout_percent=30, test_group="pilot", mode="shadow")
    assert (found.effective_from_us, found.effective_until_us) == (microseconds(begin), microseconds(end))
    assert (found.rollout_percent, found.test_group, found.mode) == (30, "pilot", Mode.SHADOW)


def test_a_volatility_is_in_the_book():
    found = in_book(volatility_symbol="btcusdt", volatility_reference=Decimal("0.60"))
    assert found.volatility == VolatilityScale(symbol="BTCUSDT", reference=Decimal("0.6"))


@pytest.mark.parametrize(
    ("fields", "name", "text"),
    [
        ({"active_windows": ["Mon 9-5"]}, "active_windows", "write it as in Mon-Fri"),
        ({"active_windows": "Mon 09:00-17:00 UTC"}, "active_windows", "a list of windows"),
        ({"rollout_percent": 101}, "rollout_percent", "100"),
        ({"mode": "asleep"}, "mode", "asleep"),
        ({"volatility_symbol": "BTCUSDT"}, "volatility_reference", "Say at which volatility"),
        (
            {"volatility_symbol": "BTCUSDT", "volatility_reference": Decimal(1), "operator": ">="},
            "volatility_symbol",
            "Only a ceiling above 0",
        ),
        (
            {"volatility_symbol": "BTCUSDT", "volatility_reference": Decimal(1), "threshold": Decimal(0)},
            "volatility_symbol",
            "Only a ceiling above 0",
        ),
        ({"volatility_least": Decimal("NaN")}, "volatility_least", "NaN"),
        ({"volatility_least": Decimal(2)}, "volatility_least", "least factor is above the most"),
        (
            {
                "effective_from": datetime(2026, 12, 2, tzinfo=UTC),
                "effective_until": datetime(2026, 12, 2, tzinfo=UTC),
            },
            "effective_until",
            "It would end before it begins",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(fields, name, text):
    assert text in " ".join(refused(**fields)[name])
