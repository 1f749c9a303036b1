"""Checks of the last minute, by what the counters said before and say now."""

from __future__ import annotations

from api.statistics import Counted
from dashboard.counting import LastMinute

INF = float("inf")


def counted(approved: int, blocked: int, slow: int = 0) -> Counted:
    done = approved + blocked
    return Counted(
        {"approved": approved, "rejected": blocked},
        {"policy_violation": blocked} if blocked else {},
        {100.0: done - slow, 200.0: done, INF: done},
        journal_lag_s=0.5,
    )


class House:
    """Counters and a clock, as the test says."""

    def __init__(self) -> None:
        self.now_s, self.seen = 0.0, counted(10, 2)
        self.minute = LastMinute(lambda: self.seen, clock=lambda: self.now_s)

    def look(self, at_s: float, seen: Counted) -> dict[str, object]:
        self.now_s, self.seen = at_s, seen
        return self.minute.look()


def test_at_the_first_look_nothing_is_known():
    found = House().minute.look()
    assert (found["per_s"], found["approval_rate"], found["p50_us"], found["by_reason"]) == (None, None, None, {})


def test_what_was_done_since_is_told():
    house = House()
    house.look(0, counted(10, 2))
    found = house.look(10, counted(25, 7, slow=10))
    assert found == {
        **{"per_s": 2.0, "approved": 15, "rejected": 5, "approval_rate": 0.75},
        **{"p50_us": 100.0, "p99_us": 198.0, "by_reason": {"policy_violation": 5}},
    }
    assert house.minute.journal_lag_s == 0.5


def test_only_the_last_minute_counts():
    house = House()
    house.look(0, counted(0, 0))
    house.look(50, counted(100, 0))
    assert house.look(100, counted(150, 0))["approved"] == 50


def test_counters_that_begin_anew_are_begun_anew_with():
    house = House()
    house.look(0, counted(100, 0))
    assert house.look(10, counted(5, 0))["per_s"] is None
    assert house.look(20, counted(10, 0))["per_s"] == 0.5
