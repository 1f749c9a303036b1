"""The figures of the whole firm: the sums over its accounts."""

from __future__ import annotations

from decimal import Decimal, localcontext

from feeds.standing import Standing
from riskcore.decimals import EXACT, INFINITY, ZERO
from riskcore.metrics import drawdown_max


class Firm:
    """Adds accounts up, in currency.

    An account whose reports have ended, or whose prices are old, stays in the sums as it was last known: what it
    holds does not go away with its feed. `fresh` counts those of which all is up to date. An account that cannot be
    valued at all, because a price was never known, is in no sum; `accounts` and `valued` differ then.
    """

    def __init__(self, accounts: int) -> None:
        self.accounts = accounts
        self.valued = self.fresh = self.open_positions = self.pending_orders = 0
        self.equity = self.gross = self.net_high = self.net_low = ZERO
        self.margin_used = self.margin_reserved = self.unrealized_pnl = self.pending_notional = ZERO
        self.worst_drawdown, self.worst_account = ZERO, ""
        self.oldest_state_us = 0

    def add(self, standing: Standing) -> None:
        """Add an account."""
        state, whole = standing.state, standing.picture.whole
        if whole is None or standing.picture.legs is None:
            return
        with localcontext(EXACT):
            exposure = whole.exposure
            self.equity += state.equity
            self.gross += exposure.gross
            self.net_high += exposure.net_high
            self.net_low += exposure.net_low
            self.margin_used += state.margin_used
            self.margin_reserved += exposure.margin_reserved
            self.unrealized_pnl += exposure.unrealized_pnl
            self.pending_notional += exposure.pending_notional
            drawdown = drawdown_max(whole) or ZERO
        if drawdown > self.worst_drawdown:
            self.worst_drawdown, self.worst_account = drawdown, state.account_id
        self.valued += 1
        self.fresh += standing.fresh
        self.open_positions += sum(bool(leg.quantity) for leg in standing.picture.legs.values())
        self.pending_orders += exposure.open_orders
        self.oldest_state_us = min(self.oldest_state_us or state.received_at_us, state.received_at_us)

    @property
    def net(self) -> Decimal:
        """Return the end of the range of net exposures, over which open orders may fill, farther from zero."""
        return self.net_high if abs(self.net_high) >= abs(self.net_low) else self.net_low

    @property
    def margin_available(self) -> Decimal:
        """Return equity less margin used and reserved."""
        return EXACT.subtract(EXACT.subtract(self.equity, self.margin_used), self.margin_reserved)

    @property
    def leverage(self) -> Decimal | None:
        """Return gross exposure over equity, None where equity is gone or there is none."""
        return EXACT.divide(self.gross, self.equity) if self.equity > 0 else None

    @property
    def margin_ratio(self) -> Decimal | None:
        """Return equity over margin used and reserved, infinite without any; None where equity is gone."""
        margin = EXACT.add(self.margin_used, self.margin_reserved)
        if self.equity <= 0:
            return None
        return EXACT.divide(self.equity, margin) if margin > 0 else INFINITY
