"""What happened in the course of a stop, in a cell: its timeline, and what was left."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count
from msgspec import Struct

from emergency.models import StopAccount, StopStep
from emergency.words import Status

# A cell of a workbook holds 32,767 characters.
_LONGEST = 30_000
_BETWEEN = " | "


class Told(Struct, frozen=True):
    """One step of a timeline."""

    at: datetime
    what: str
    detail: str


class Story(Struct, frozen=True):
    """The steps of a stop, the first one first, and how many accounts were recorded as they were."""

    steps: list[Told]
    accounts: int

    def reached(self, stage: Status) -> datetime | None:
        """Return when a stage was reached first, None where it was not."""
        return next((step.at for step in self.steps if step.what == stage.value), None)

    def timeline(self, *, details: bool) -> str:
        """Return the steps in one text, as many as a cell holds; `details` name accounts."""
        lines: list[str] = []
        room = _LONGEST
        for step in self.steps:
            line = f"{step.at:%Y-%m-%d %H:%M:%S.%f} {step.what}"
            line = f"{line}: {step.detail}" if details and step.detail else line
            room -= len(line) + len(_BETWEEN)
            if room < 0:
                lines.append(f"and {len(self.steps) - len(lines):,} more steps")
                break
            lines.append(line)
        return _BETWEEN.join(lines)


def stories(stop_ids: Collection[UUID]) -> dict[UUID, Story]:
    """Return what happened to stops, by stop, with two queries."""
    counted = StopAccount.objects.order_by().filter(stop__in=stop_ids).values("stop").annotate(number=Count("pk"))
    accounts = dict(counted.values_list("stop", "number"))
    found = {stop_id: Story([], accounts.get(stop_id, 0)) for stop_id in stop_ids}
    steps = StopStep.objects.order_by("at", "id").filter(stop__in=stop_ids)
    for stop_id, at, what, detail in steps.values_list("stop", "at", "what", "detail"):
        found[stop_id].steps.append(Told(at, what, detail))
    return found


def left(residuals: Iterable[Mapping[str, Any]]) -> str | None:
    """Return what a stop has left, in one text; None where it is nothing."""
    return _BETWEEN.join(map(_residual, residuals)) or None


def _residual(each: Mapping[str, Any]) -> str:
    held = ", ".join(f"{position['symbol']} {position['quantity']}" for position in each.get("positions", ()))
    remaining = each.get("remaining")
    counted = "" if remaining is None else f"{remaining} left"
    inside = "; ".join(part for part in (counted, held) if part)
    where = f"{each['account_id']}: " if each.get("account_id") else ""
    return f"{where}{each.get('why', '')}{f' ({inside})' if inside else ''}"
