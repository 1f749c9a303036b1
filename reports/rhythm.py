"""When a scheduled report is due, and which period it is about: by the clock of its zone."""

from __future__ import annotations

from calendar import day_name, monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from reports.models import Cadence

_DAY = timedelta(days=1)


class Rhythm(Struct, frozen=True, kw_only=True):
    """Every day, every week or every month, at `minute` minutes after midnight on the clock of `zone`.

    `day` is that of the week (1 is Monday) or of the month: a month that has it not has its last day instead. A clock
    time that is left out when clocks go forward is as much later, and one that comes twice is the first.
    """

    cadence: Cadence
    day: int
    minute: int
    zone: str

    def next_after(self, moment: datetime) -> datetime:
        """Return when it is next due after a moment, in UTC."""
        for day in self._days_from(self._day_of(moment)):
            due = self._at(day, self.minute)
            if due > moment:
                return due
        raise AssertionError("there is always a next time")

    def period_before(self, due: datetime) -> tuple[datetime, datetime]:
        """Return the day, the week (from Monday) or the month before the day on which it is due, in UTC."""
        first, end = self._days_before(self._day_of(due))
        return self._at(first, 0), self._at(end, 0)

    def in_words(self) -> str:
        """Return how often it is due, for people."""
        days = {Cadence.DAILY: "Every day", Cadence.WEEKLY: f"Every {day_name[(self.day - 1) % 7]}"}
        often = days.get(self.cadence, f"On day {self.day} of every month")
        return f"{often} at {self.minute // 60:02}:{self.minute % 60:02} ({self.zone})"

    def _days_before(self, today: date) -> tuple[date, date]:
        """Return the first day of the period, and the first after it."""
        monday, month = today - timedelta(days=today.weekday()), today.replace(day=1)
        match self.cadence:
            case Cadence.DAILY:
                return today - _DAY, today
            case Cadence.WEEKLY:
                return monday - timedelta(days=7), monday
            case Cadence.MONTHLY:
                return (month - _DAY).replace(day=1), month

    def _days_from(self, day: date) -> Iterator[date]:
        """Yield the days on which it is due, from one that may be over on."""
        match self.cadence:
            case Cadence.DAILY:
                yield from (day + timedelta(days=number) for number in range(4))
            case Cadence.WEEKLY:
                first = day + timedelta(days=self.day - 1 - day.weekday())
                yield from (first + timedelta(weeks=number) for number in range(3))
            case Cadence.MONTHLY:
                month = day.replace(day=1)
                for _ in range(3):
                    last = monthrange(month.year, month.month)[1]
                    yield month.replace(day=min(self.day, last))
                    month = month.replace(day=last) + _DAY

    def _day_of(self, moment: datetime) -> date:
        return moment.astimezone(ZoneInfo(self.zone)).date()

    def _at(self, day: date, minute: int) -> datetime:
        wall = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=ZoneInfo(self.zone))
        return wall.astimezone(UTC)
