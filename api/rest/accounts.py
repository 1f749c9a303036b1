"""Accounts, to read: metrics, limits and reservations as they are now; and the release of a reservation."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from api import errors
from api.desk import desk
from api.errors import Problem
from api.grants import CHECK_ORDERS, RELEASE, VIEW_ACCOUNT
from api.reading import holders, in_force_now, overviews
from api.rest.base import RiskView, caller, demand_account
from api.rest.queries import identifier, make_cursor, note, read_cursor, read_part, read_query, whole
from api.rest.schemas import SUMMARY
from feeds.books import BOOKS
from riskcore.calendar import moment
from riskcore.decimals import tidy
from riskcore.overview import AccountOverview
from riskcore.release import NotReleased, release_steps
from riskcore.types import Reservation
from state.driver import run_sync
from state.store import Store

_ACCOUNTS_A_PAGE = 100
_PAGE = {"account_id": identifier, "cursor": read_cursor(1), "limit": whole(1, 500)}


class MetricsView(RiskView):
    """All figures of one account."""

    needs = {"GET": (VIEW_ACCOUNT,)}

    def get(self, request: Request, account_id: str) -> Response:
        """Return the account's metrics, positions and binding limit, worked out now."""
        read_query(request, {})
        account_id = read_part("account_id", account_id, identifier)
        demand_account(request, account_id)
        at = desk()
        found = next(iter(overviews(at.store, in_force_now(at.store), (account_id,), tail=True)), None)
        if found is None:
            raise errors.not_found(f"there is no account {account_id}")
        return Response({name: getattr(found, name) for name in found.__struct_fields__ if name != "limits"})


class LimitsView(RiskView):
    """Every limit of accounts."""

    needs = {"GET": (VIEW_ACCOUNT,)}

    def get(self, request: Request) -> Response:
        """Return the limits of one account, or of all, with value, utilisation and headroom, worked out now."""
        asked, at = read_query(request, _PAGE), desk()
        of = in_force_now(at.store)
        page, following = _page(request, asked, of.book.accounts)
        found = sorted(overviews(at.store, of, page), key=lambda account: account.account_id)
        return Response({"results": list(map(_with_limits, found)), "next": following})


def _with_limits(account: AccountOverview) -> dict[str, Any]:
    return {
        **{name: getattr(account, name) for name in SUMMARY},
        "binding_limit": account.binding_limit,
        "limits": account.limits,
        "policy_book_version": account.policy_book_version,
    }


class ReservationsView(RiskView):
    """Open order exposure that approvals hold."""

    needs = {"GET": (VIEW_ACCOUNT, CHECK_ORDERS)}

    def get(self, request: Request) -> Response:
        """Return the reservations of one account, or of all, that have not run out."""
        asked, at = read_query(request, _PAGE), desk()
        page, following = _page(request, asked, at.store.account_ids())
        now_us = time.time_ns() // 1000
        held = (one for account_id in page for one in at.store.reservations(account_id))
        return Response(
            {"results": [shown_reservation(one) for one in held if one.expires_at_us > now_us], "next": following}
        )


class ReservationView(RiskView):
    """The reservation of one order."""

    needs = {"DELETE": (CHECK_ORDERS, RELEASE)}

    def delete(self, request: Request, order_id: str) -> Response:
        """End a reservation before its time: the order was filled, cancelled or rejected.

        Without account_id the order is looked for in every account that the key is for.
        """
        order_id = read_part("order_id", order_id, identifier)
        asked, store = read_query(request, {"account_id": identifier, "reason": note}), desk().store
        account_id = asked.get("account_id") or _only_holder(request, store, order_id)
        demand_account(request, account_id)
        reason = asked.get("reason", "released over the API")
        steps = release_steps(account_id, order_id, actor=caller(request).actor, reason=reason)
        try:
            return Response(shown_reservation(run_sync(steps, store, BOOKS)))
        except NotReleased as error:
            if holders(store, (account_id,), order_id):
                raise Problem(503, "contention", str(error), retry_after_s=1) from None
            raise errors.not_found(str(error)) from None


def _only_holder(request: Request, store: Store, order_id: str) -> str:
    held = holders(store, tuple(caller(request).accounts) or store.account_ids(), order_id)
    if not held:
        raise errors.not_found(f"order_id {order_id}: no account holds a reservation for it")
    if len(held) > 1:
        raise Problem(409, "ambiguous", f"order_id {order_id}: several accounts have one; say account_id")
    return held[0].account_id


def _page(request: Request, asked: dict[str, Any], account_ids: Iterable[str]) -> tuple[list[str], str | None]:
    """Return the accounts of this page, and the cursor of the next, None after the last.

    Raises Problem where one account is asked for that the caller is not for, or that is not known.
    """
    only = asked.get("account_id")
    if only is not None:
        demand_account(request, only)
        if only not in account_ids:
            raise errors.not_found(f"there is no account {only}")
        return [only], None
    (after,) = asked.get("cursor", ("",))
    limit = asked.get("limit", _ACCOUNTS_A_PAGE)
    rest = [each for each in sorted(account_ids) if each > after and caller(request).may_see(each)]
    return rest[:limit], make_cursor(rest[limit - 1]) if len(rest) > limit else None


def open_reservations(store: Store, account_id: str) -> list[Reservation]:
    """Return the reservations of an account that have not run out."""
    now_us = time.time_ns() // 1000
    return [held for held in store.reservations(account_id) if held.expires_at_us > now_us]


def shown_reservation(held: Reservation) -> dict[str, Any]:
    """Return a reservation as it is shown."""
    return {
        "id": held.id,
        "order_id": held.order_id,
        "account_id": held.account_id,
        "symbol": held.symbol,
        "side": held.side,
        "quantity": tidy(held.quantity),
        "price": tidy(held.price),
        "margin": tidy(held.margin),
        "exchange": held.exchange,
        "strategy_id": held.strategy_id,
        "created_at": moment(held.created_at_us),
        "expires_at": moment(held.expires_at_us),
    }
