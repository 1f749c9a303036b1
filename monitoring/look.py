"""One look at all accounts, and what of it is an observation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct

from feeds.standing import standings
from riskcore.calendar import moment
from riskcore.compiled import CompiledBook
from riskcore.firm import FIRM
from riskcore.limits import describe
from riskcore.picture import Reading
from riskcore.signal import GlobalSignal, Read, global_signal, read_account, read_firm
from state.store import Store
from violations.observations import Observation


class Look(Struct, frozen=True, kw_only=True):
    """All accounts that have a state, at one moment: each with the readings of its limits, and the firm."""

    at: datetime
    accounts: tuple[Read, ...]
    firm: Read
    signal: GlobalSignal

    @property
    def seen(self) -> frozenset[str]:
        """Return the accounts whose limits could be evaluated, and the firm (an empty name) where it could."""
        return frozenset(one.picture.account.id for one in (*self.accounts, self.firm) if one.picture.whole is not None)

    def observations(self) -> Iterator[Observation]:
        """Yield the limits that do not hold, of each account and of the firm."""
        for one in (*self.accounts, self.firm):
            for reading in one.readings:
                if reading.finding is not None and not reading.finding.holds and reading.limit.of_account:
                    yield _observation(one.picture.account.id, reading, self.at)


def look(store: Store, book: CompiledBook) -> Look | None:
    """Look at every account under this book; None where no account has a state. Raises StateUnavailable."""
    pictures = [standing.picture for standing in standings(store, book)]
    if not pictures:
        return None
    now_us = max(picture.now_us for picture in pictures)
    accounts = tuple(map(read_account, pictures))
    firm = read_firm(pictures, book, now_us)
    return Look(at=moment(now_us), accounts=accounts, firm=firm, signal=global_signal(accounts, firm, book, now_us))


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
