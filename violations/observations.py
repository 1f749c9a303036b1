"""What the monitor hands over: limits that it found broken, each at one moment."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from riskcore.book import Operator
from riskcore.limits import Bound

_BOUNDS = {
    Operator.AT_MOST: Bound.CAP,
    Operator.BELOW: Bound.CAP,
    Operator.AT_LEAST: Bound.FLOOR,
    Operator.ABOVE: Bound.FLOOR,
}


class EpisodeKey(Struct, frozen=True, order=True):
    """What has one open episode at most."""

    policy_id: str
    account_id: str
    symbol: str
    exchange: str


class AlertKey(Struct, frozen=True, order=True):
    """What has one alert at a time: the same on two exchanges is one."""

    policy_id: str
    metric: str
    account_id: str
    symbol: str


class Observation(Struct, frozen=True, kw_only=True):
    """One limit found broken at one moment.

    `account_id` is empty where the figure is the firm's, `symbol` and `exchange` where it is the whole account's.
    `policy_type` is hard, soft or emergency. `value` and `threshold` are in the metric's unit; `value` None: not
    defined, as a ratio on equity <= 0, which is worse than any number. `utilisation` is a fraction of the limit, 1 all
    of it; None: beyond measure. `at` is timezone-aware, the same for all that one look at the accounts has found.
    """

    account_id: str
    policy_id: str
    policy_name: str
    policy_type: str
    policy_version: int
    metric: str
    symbol: str
    exchange: str
    value: Decimal | None
    threshold: Decimal
    operator: str
    utilisation: Decimal | None
    message: str
    at: datetime

    @property
    def key(self) -> EpisodeKey:
        """The episode that this belongs to."""
        return EpisodeKey(self.policy_id, self.account_id, self.symbol, self.exchange)


def is_worse(operator: str, threshold: Decimal, value: Decimal | None, than: Decimal | None) -> bool:
    """Return whether a value breaks a limit more than another one: above it for a cap, below it for a floor.

    What must be equal is worse the farther it is from the threshold. None is worse than any number.
    """
    if value is None or than is None:
        return value is None and than is not None
    match _BOUNDS.get(Operator(operator), Bound.NEITHER):
        case Bound.CAP:
            return value > than
        case Bound.FLOOR:
            return value < than
        case _:
            return abs(value - threshold) > abs(than - threshold)
