"""What a preview takes for granted of limits that come into force later, or end."""

from __future__ import annotations

from msgspec.structs import replace

from riskcore.book import Book, Policy
from riskcore.calendar import moment


def as_if_in_force(in_force: Book, proposed: Book, now_us: int) -> tuple[Book, tuple[str, ...]]:
    """Return the proposed book with its changed limits in force already, and sentences that say what was taken so.

    No recorded decision is of a time to come: a limit that waits for its day would seem to do nothing.
    """
    known = {policy.id: policy for policy in in_force.policies}
    changed = [policy for policy in proposed.policies if known.get(policy.id) != policy]
    waiting = {policy.id for policy in changed if policy.effective_from_us > now_us}
    policies = tuple(replace(each, effective_from_us=0) if each.id in waiting else each for each in proposed.policies)
    notes = [_begins(policy) for policy in changed if policy.id in waiting]
    notes += [_ends(policy) for policy in changed if policy.effective_until_us > now_us]
    return replace(proposed, policies=policies), tuple(notes)


def _begins(policy: Policy) -> str:
    at = moment(policy.effective_from_us)
    return f"{policy.name} comes into force at {at:%Y-%m-%d %H:%M:%S} UTC. It is shown here as if it were in force."


def _ends(policy: Policy) -> str:
    at = moment(policy.effective_until_us)
    return f"{policy.name} ends at {at:%Y-%m-%d %H:%M:%S} UTC. What passes from then on is not shown here."
