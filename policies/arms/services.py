"""Comparing the arms of a rollout, and pausing one that regresses."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from msgspec import Struct

from policies.arms.counting import Arms, count_arms
from policies.book import policy_of
from policies.errors import PolicyError
from policies.models import Policy
from policies.services import do_change_policy
from riskcore.book import Mode
from riskcore.rollout import WHOLE_PERCENT

WATCH = "rollout watch"


class Paused(Struct, frozen=True):
    """A rollout that was paused: its limit, as it is now, and what the arms were."""

    policy: Policy
    arms: Arms


def arms_of(row: Policy) -> Arms:
    """Return both arms of a limit, since it has been as it is now."""
    return count_arms(policy_of(row), _since(row))


def watch_rollouts() -> list[Paused]:
    """Put every limit in shadow whose rollout regresses, and return them.

    One regresses where surely more than RISK_ROLLOUT_TOLERANCE more of the checks are blocked on accounts that it has
    reached than on the others; 1 pauses none. What it has done so far stays in its history, and somebody publishes it
    again. Raises Django's database errors.
    """
    rolling = Policy.objects.filter(
        enabled=True, mode=Mode.ENFORCE.value, rollout_percent__range=(1, WHOLE_PERCENT - 1)
    )
    found = ((row, arms_of(row)) for row in rolling.order_by("id"))
    return [paused for row, arms in found if _regresses(arms) and (paused := _pause(row, arms)) is not None]


def _regresses(arms: Arms) -> bool:
    return arms.regresses(float(settings.RISK_ROLLOUT_TOLERANCE), settings.RISK_ROLLOUT_LEAST_CHECKS)


def _pause(row: Policy, arms: Arms) -> Paused | None:
    low, high = arms.blocked
    reason = (
        f"The rollout regresses: of {arms.enforced.checks:,} checks on accounts with this limit "
        f"{arms.enforced.blocked:,} were blocked, of {arms.shadow.checks:,} on the others {arms.shadow.blocked:,}: "
        f"{low:.1%} to {high:.1%} more, and {settings.RISK_ROLLOUT_TOLERANCE:.1%} are tolerated."
    )
    try:
        made = do_change_policy(
            actor=WATCH, reason=reason, policy_id=row.pk, expected_version=row.version, mode=Mode.SHADOW.value
        )
    except PolicyError:  # somebody has changed it meanwhile, another process perhaps: it is looked at again
        return None
    return Paused(made.row, arms)


def _since(row: Policy) -> datetime:
    at: datetime = row.history.filter(version=row.version).latest().history_date
    return at
