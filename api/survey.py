"""All accounts at a glance, for statistics: worked out at most every few seconds, however many ask."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from api.lasting import Lasting
from api.reading import in_force_now, overviews
from emergency.standing import unfinished
from riskcore.overview import AccountOverview
from riskcore.types import RiskLevel
from state.store import Store

# Seconds for which a survey is good. A thousand accounts of ten positions take about a fifth of one.
_LIFE_S = 5.0

_SEVERITY = (RiskLevel.UNKNOWN, RiskLevel.INFO, RiskLevel.WARNING, RiskLevel.CRITICAL)
_ZERO = Decimal(0)


class Survey(Struct, frozen=True, kw_only=True):
    """The sums over all accounts that have a state.

    Amounts in currency; `worst_drawdown` as a fraction, of the account that fell farthest from its peak;
    `oldest_state_s` the age of the oldest state; `risk_level` that of the account at most risk;
    `stops_unfinished` those stops that are not completed, and for how long the oldest has been so.
    """

    accounts: int = 0
    accounts_without_state: int = 0
    active_positions: int = 0
    pending_orders: int = 0
    equity: Decimal = _ZERO
    gross_exposure: Decimal = _ZERO
    margin: Decimal = _ZERO
    worst_drawdown: Decimal = _ZERO
    oldest_state_s: float = 0.0
    risk_level: RiskLevel = RiskLevel.UNKNOWN
    stops: int = 0
    stops_unfinished: int = 0
    oldest_unfinished_s: float = 0.0

    @property
    def leverage(self) -> Decimal | None:
        """Return gross exposure over equity, None where equity is gone."""
        return self.gross_exposure / self.equity if self.equity > 0 else None

    @property
    def margin_ratio(self) -> Decimal | None:
        """Return equity over margin, None where no margin is used."""
        return self.equity / self.margin if self.margin > 0 else None


def survey(store: Store) -> Survey:
    """Return a survey not older than a few seconds. Raises StateUnavailable, and Problem 503 before a restore."""
    return _lasting(store)


def _look(store: Store) -> Survey:
    of = in_force_now(store)
    seen = list(overviews(store, of, of.book.accounts))
    known = [account for account in seen if account.metrics]
    stops_unfinished, oldest_unfinished_s = unfinished(store, [stop.id for stop in of.stops])
    return Survey(
        accounts=len(seen),
        accounts_without_state=sum(account.state_at is None for account in seen),
        active_positions=sum(position.quantity != 0 for account in known for position in account.positions),
        pending_orders=int(sum(_metric(account, "open_orders") for account in known)),
        equity=sum((account.equity or _ZERO for account in known), _ZERO),
        gross_exposure=sum((_metric(account, "gross_exposure") for account in known), _ZERO),
        margin=sum((_margin(account) for account in known), _ZERO),
        worst_drawdown=max((_metric(account, "drawdown_max") for account in known), default=_ZERO),
        oldest_state_s=max((account.state_age_ms or 0 for account in seen), default=0) / 1000,
        risk_level=max((account.risk_level for account in seen), key=_SEVERITY.index, default=RiskLevel.UNKNOWN),
        stops=len(of.stops),
        stops_unfinished=stops_unfinished,
        oldest_unfinished_s=oldest_unfinished_s,
    )


def _metric(account: AccountOverview, name: str) -> Decimal:
    return account.metrics.get(name) or _ZERO


def _margin(account: AccountOverview) -> Decimal:
    """Return the margin used and reserved."""
    return (account.equity or _ZERO) - _metric(account, "margin_available")


_lasting = Lasting(_look, _LIFE_S)
