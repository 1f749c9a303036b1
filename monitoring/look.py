"""One look at accounts, and what of it is an observation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct

from riskcore.firm import FIRM
from riskcore.glance import Glance
from riskcore.limits import describe
from riskcore.picture import Reading
from violations.observations import Observation


class Look(Struct, frozen=True, kw_only=True):
    """Accounts that have a state, at one moment, and the firm; each with the limits that do not hold.

    `firm` None: nobody knows what it comes to, or another one says so.
    """

    at: datetime
    accounts: tuple[Glance, ...]
    firm: Glance | None

    @property
    def all(self) -> tuple[Glance, ...]:
        """Return the firm, where it is known, and the accounts."""
        return self.accounts if self.firm is None else (self.firm, *self.accounts)

    @property
    def seen(self) -> frozenset[str]:
        """Return the accounts whose limits could be evaluated, and the firm (an empty name) where it could."""
        return frozenset([one.account_id for one in self.all if one.whole is not None])

    def observations(self) -> Iterator[Observation]:
        """Yield the limits that do not hold, of the firm and of each account."""
        for one in self.all:
            for reading in one.broken:
                yield _observation(one.account_id, reading, self.at)


def is_of_firm(observation: Observation) -> bool:
    """Return whether what is broken is the firm's own figure."""
    return observation.account_id == FIRM


def _observation(account_id: str, reading: Reading, at: datetime) -> Observation:
    finding = reading.finding
    assert finding is not None  # only what was found is observed
    policy = reading.limit.policy
    return Observation(
        account_id=account_id,
        policy_id=policy.id,
        policy_name=policy.name,
        policy_type=policy.type.value,
        policy_version=policy.version,
        metric=policy.metric,
        symbol=reading.symbol,
        exchange=reading.exchange,
        value=finding.value,
        threshold=policy.threshold,
        operator=policy.operator.value,
        utilisation=finding.utilisation,
        message=describe(finding),
        at=at,
    )
