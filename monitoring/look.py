"""One look at all accounts, and what of it is an observation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct

from monitoring.accounts import Accounts
from monitoring.metrics import STAGES
from riskcore.calendar import moment
from riskcore.compiled import CompiledBook
from riskcore.firm import FIRM
from riskcore.glance import Glance
from riskcore.limits import describe
from riskcore.picture import Reading
from riskcore.signal import GlobalSignal, global_signal
from violations.observations import Observation


class Look(Struct, frozen=True, kw_only=True):
    """All accounts that have a state, at one moment, and the firm; each with the limits that do not hold."""

    at: datetime
    accounts: tuple[Glance, ...]
    firm: Glance
    signal: GlobalSignal

    @property
    def seen(self) -> frozenset[str]:
        """Return the accounts whose limits could be evaluated, and the firm (an empty name) where it could."""
        return frozenset([one.account_id for one in (*self.accounts, self.firm) if one.whole is not None])

    def observations(self) -> Iterator[Observation]:
        """Yield the limits that do not hold, of each account and of the firm."""
        for one in (*self.accounts, self.firm):
            for reading in one.broken:
                yield _observation(one.account_id, reading, self.at)


def look(accounts: Accounts, book: CompiledBook) -> Look | None:
    """Look at every account under this book; None where no account has a state. Raises StateUnavailable."""
    seen = accounts.look(book)
    if not seen.accounts:
        return None
    with STAGES.labels("firm").time():
        firm = accounts.firm(seen.sums, book, seen.now_us)
        signal = global_signal(seen.accounts, firm, book, seen.now_us)
    return Look(at=moment(seen.now_us), accounts=seen.accounts, firm=firm, signal=signal)


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
