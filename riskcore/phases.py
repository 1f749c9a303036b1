"""Which policies are in force at a moment, and until when that stays so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from riskcore.book import Policy
from riskcore.schedule import NEVER_US, is_active, next_change_us


def is_timed(policy: Policy) -> bool:
    """Return whether a policy is in force at some times only."""
    return bool(policy.active or policy.effective_from_us or policy.effective_until_us)


def is_in_force(policy: Policy, at_us: int) -> bool:
    """Return whether a policy is in force at a moment (microseconds since the epoch)."""
    if at_us < policy.effective_from_us or 0 < policy.effective_until_us <= at_us:
        return False
    return is_active(policy.active, at_us)


def next_phase_us(policies: Iterable[Policy], at_us: int) -> int:
    """Return the next moment at which one of the policies may come into force or end, NEVER_US where none does."""
    return min((edge for policy in policies for edge in _edges(policy, at_us) if edge > at_us), default=NEVER_US)


def _edges(policy: Policy, at_us: int) -> Iterator[int]:
    yield policy.effective_from_us
    yield policy.effective_until_us
    yield next_change_us(policy.active, at_us)
