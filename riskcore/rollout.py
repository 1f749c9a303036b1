"""Which accounts a policy holds for while it is rolled out: the same ones as long as the percentage only grows."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from riskcore.book import Policy

WHOLE_PERCENT = 100

_BUCKETS = 10_000


@lru_cache(maxsize=65_536)
def bucket(group: str, account_id: str) -> int:
    """Return the account's place among 10,000 in a test group: evenly spread, and for ever the same."""
    digest = hashlib.sha256(f"{group}\0{account_id}".encode()).digest()
    return int.from_bytes(digest[:8]) % _BUCKETS


def is_partial(policy: Policy) -> bool:
    """Return whether a policy holds for some accounts only, by its percentage."""
    return policy.rollout_percent < WHOLE_PERCENT


def holds_for(policy: Policy, account_id: str) -> bool:
    """Return whether a policy's percentage has reached an account.

    Policies of one `test_group` reach the same accounts; one without a group goes by its own id.
    """
    if not is_partial(policy):
        return True
    return bucket(policy.test_group or policy.id, account_id) * WHOLE_PERCENT < policy.rollout_percent * _BUCKETS
