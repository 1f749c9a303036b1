"""The firm as a whole: its risk signal, and its portfolio or that of one account."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from api import errors
from api.desk import desk
from api.firm import firm
from api.grants import VIEW_ACCOUNT
from api.reading import in_force_now, overviews
from api.rest.base import RiskView, demand_account, demand_all_accounts
from api.rest.queries import identifier, read_query
from api.rest.schemas import PORTFOLIO
from riskcore.overview import AccountOverview
from state.store import Store


class GlobalView(RiskView):
    """The risk signal of the firm."""

    needs = {"GET": (VIEW_ACCOUNT,)}

    def get(self, request: Request) -> Response:
        """Return risk level, score, what is wrong and what is recommended, not more than a second old."""
        read_query(request, {})
        demand_all_accounts(request, "the figures of the firm")
        found = firm(desk().store).signal
        return Response({name: getattr(found, name) for name in found.__struct_fields__})


class PortfolioView(RiskView):
    """Exposure, positions, margin and value at risk."""

    needs = {"GET": (VIEW_ACCOUNT,)}

    def get(self, request: Request) -> Response:
        """Return the portfolio of one account, worked out now, or that of the firm, not more than a second old."""
        account_id = read_query(request, {"account_id": identifier}).get("account_id")
        store = desk().store
        if account_id is None:
            demand_all_accounts(request, "the figures of the firm")
            return Response(_portfolio(firm(store).overview))
        demand_account(request, account_id)
        return Response(_portfolio(_account(store, account_id)))


def _account(store: Store, account_id: str) -> AccountOverview:
    found = next(iter(overviews(store, in_force_now(store), (account_id,), tail=True)), None)
    if found is None:
        raise errors.not_found(f"there is no account {account_id}")
    return found


def _portfolio(found: AccountOverview) -> dict[str, Any]:
    return {name: getattr(found, name) for name in PORTFOLIO}
