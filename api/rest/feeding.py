"""What flows in over REST: accounts' states and prices."""

from __future__ import annotations

import time

from rest_framework.request import Request
from rest_framework.response import Response

from api import errors
from api.desk import desk
from api.errors import Problem
from api.grants import REPORT_STATE
from api.rest.base import RiskView, demand_account, demand_all_accounts
from api.rest.bodies import json_body
from api.rest.queries import identifier, read_part
from feeds.apply import NoBook, apply_prices, apply_report, book_for_reports
from feeds.books import BOOKS
from feeds.messages import MOST_BYTES, read_prices, read_report
from riskcore.intake import NotApplied


class StateView(RiskView):
    """The state of an account, as its custodian reports it."""

    needs = {"PUT": (REPORT_STATE,)}

    def put(self, request: Request, account_id: str) -> Response:
        """Report an account's state. One that is older than what is known changes nothing."""
        account_id = read_part("account_id", account_id, identifier)
        demand_account(request, account_id)
        body, at = json_body(request._request, MOST_BYTES), desk()
        try:
            account = book_for_reports(at.store, BOOKS).accounts.get(account_id)
            if account is None:
                raise errors.not_found(f"there is no account {account_id}")
            report = read_report(account_id, body, home_exchange=account.exchange, now_us=time.time_ns() // 1000)
            applied = apply_report(at.store, BOOKS, report)
        except NoBook:
            raise errors.recovering() from None
        except NotApplied as error:
            raise Problem(503, "contention", str(error), retry_after_s=1) from None
        return Response({"account_id": account_id, "applied": applied})


class PricesView(RiskView):
    """Prices, as a market data feed reports them."""

    needs = {"PUT": (REPORT_STATE,)}

    def put(self, request: Request) -> Response:
        """Report the last prices of symbols. One that is older than what is known changes nothing."""
        demand_all_accounts(request, "prices")
        prices = read_prices(json_body(request._request, MOST_BYTES), now_us=time.time_ns() // 1000)
        return Response({"received": len(prices), "applied": apply_prices(desk().store, prices)})
