"""Both arms of a limit as a page shows them."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from msgspec import Struct

from policies.arms.counting import Arm, Arms
from policies.arms.statistics import Interval, of_rate


class ArmRow(Struct, frozen=True):
    """One arm; rates are percentages with their 95 % interval, or say that there is nothing."""

    name: str
    accounts: str
    checks: str
    broke: str
    blocked: str


class ArmsPage(Struct, frozen=True):
    """Both arms and their difference. `judgement` says what follows from it, `regresses` whether that is bad."""

    since: datetime
    looked_at: str
    whole: bool
    rows: tuple[ArmRow, ...]
    broke_more: str
    blocked_more: str
    judgement: str
    regresses: bool


def arms_page(arms: Arms) -> ArmsPage:
    """Return what the page of a limit's arms shows."""
    least, tolerance = settings.RISK_ROLLOUT_LEAST_CHECKS, float(settings.RISK_ROLLOUT_TOLERANCE)
    regresses = arms.regresses(tolerance, least)
    return ArmsPage(
        since=arms.since,
        looked_at=f"{arms.looked_at:,}",
        whole=arms.whole,
        rows=(_row("Enforced", arms.enforced), _row("In shadow", arms.shadow)),
        broke_more=_points(arms.broke),
        blocked_more=_points(arms.blocked),
        judgement=_judgement(arms, least, tolerance, regresses=regresses),
        regresses=regresses,
    )


def _row(name: str, arm: Arm) -> ArmRow:
    return ArmRow(name, f"{arm.accounts:,}", f"{arm.checks:,}", _rate(arm, arm.broke), _rate(arm, arm.blocked))


def _rate(arm: Arm, hits: int) -> str:
    if not arm.checks:
        return "nothing yet"
    low, high = of_rate(hits, arm.checks)
    return f"{hits:,} ({hits / arm.checks:.1%}; {low:.1%} to {high:.1%})"


def _points(interval: Interval) -> str:
    low, high = interval
    if (low, high) == (-1, 1):
        return "not known"
    return f"{100 * low:+.1f} to {100 * high:+.1f} percentage points"


def _judgement(arms: Arms, least: int, tolerance: float, *, regresses: bool) -> str:
    if not arms.enforced.checks or not arms.shadow.checks:
        return "There is only one side: nothing can be compared."
    if min(arms.enforced.checks, arms.shadow.checks) < least:
        return f"Too early to say: it takes {least:,} checks on either side."
    if regresses:
        return f"It regresses: surely more than {tolerance:.1%} more of the checks are blocked where it is enforced."
    return f"No more than {tolerance:.1%} more of the checks are blocked where it is enforced, as far as can be said."
