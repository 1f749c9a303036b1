"""What recorded decisions say of a limit: on accounts where it is enforced, and on those where it is in shadow."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct

from audit.models import OrderDecision
from policies.arms.statistics import Interval, of_difference
from riskcore.book import Mode, Policy
from riskcore.rollout import holds_for

# Of the newest decisions so many are looked at.
MOST_DECISIONS = 20_000


class Arm(Struct, kw_only=True):
    """Decisions in which the limit was evaluated, on the accounts of one arm.

    `broke`: the order broke it. `blocked`: the order was not approved, for whatever reason.
    """

    accounts: int = 0
    checks: int = 0
    broke: int = 0
    blocked: int = 0


class Arms(Struct, frozen=True, kw_only=True):
    """Both arms of a limit, of decisions from `since` on; `looked_at` of them were read, of all that there may be.

    `whole` False: there are more, and these are the newest.
    """

    since: datetime
    looked_at: int
    whole: bool
    enforced: Arm
    shadow: Arm

    @property
    def broke(self) -> Interval:
        """Return by how much more of the checks break it where it is enforced."""
        return of_difference(self.enforced.broke, self.enforced.checks, self.shadow.broke, self.shadow.checks)

    @property
    def blocked(self) -> Interval:
        """Return by how much more of the checks are blocked where it is enforced."""
        return of_difference(self.enforced.blocked, self.enforced.checks, self.shadow.blocked, self.shadow.checks)

    def regresses(self, tolerance: float, least_checks: int) -> bool:
        """Return whether surely more than `tolerance` more of the checks are blocked where it is enforced.

        Not before either arm has `least_checks`.
        """
        return min(self.enforced.checks, self.shadow.checks) >= least_checks and self.blocked.low > tolerance


class _Named(Struct, frozen=True):
    policy_id: str | None


class _Answer(Struct, frozen=True):
    """As much of a decision as says what a limit did in it."""

    approved: bool
    violations: tuple[_Named, ...]
    warnings: tuple[_Named, ...]
    limit_utilization: dict[str, Raw]
    shadow_violations: tuple[_Named, ...] = ()

    def breaks(self, policy_id: str) -> bool:
        every = (*self.violations, *self.warnings, *self.shadow_violations)
        return any(each.policy_id == policy_id for each in every)


_answer = msgspec.json.Decoder(_Answer)


def count_arms(policy: Policy, since: datetime, *, most: int = MOST_DECISIONS) -> Arms:
    """Return what the newest decisions from a moment on say of a limit, which has been as it is since then.

    Only decisions in which it was evaluated count: it was in scope and in its hours, and nothing stopped the order
    before its limits were looked at. What-ifs count as well.
    """
    rows: Any = OrderDecision.objects.filter(decided_at__gte=since).order_by("-decided_at", "-decision_id")
    decided = list(rows.values_list("account_id", "answer")[: most + 1])
    return _count(policy, since, decided[:most], whole=len(decided) <= most)


def _count(policy: Policy, since: datetime, decided: Iterable[tuple[str, str]], *, whole: bool) -> Arms:
    enforced, shadow, looked_at = Arm(), Arm(), 0
    seen: dict[str, bool] = {}
    for account_id, text in decided:
        looked_at += 1
        found = _answer.decode(text)
        if policy.id not in found.limit_utilization:
            continue
        is_enforced = policy.mode is Mode.ENFORCE and holds_for(policy, account_id)
        arm = enforced if is_enforced else shadow
        if account_id not in seen:
            seen[account_id] = is_enforced
            arm.accounts += 1
        arm.checks += 1
        arm.broke += found.breaks(policy.id)
        arm.blocked += not found.approved
    return Arms(since=since, looked_at=looked_at, whole=whole, enforced=enforced, shadow=shadow)
