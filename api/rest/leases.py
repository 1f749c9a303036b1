"""The dead man's switch: an OMS takes a lease, renews it every few seconds, and releases it when it ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from api import errors
from api.desk import desk
from api.errors import Problem
from api.grants import CHECK_ORDERS, ENGAGE_STOP, LIFT_STOP, VIEW_ACCOUNT
from api.reading import in_force_now
from api.rest.base import Caller, RiskView, caller, demand_account
from api.rest.bodies import json_body
from api.rest.queries import identifier, read_part, read_query
from emergency.errors import HeldByAnother, NoSuchLease, TooManyLeases
from emergency.flags import now_us
from emergency.leases import LONGEST_HOLDER, LONGEST_S, SHORTEST_S, Lease, OnSilence, kept_leases
from emergency.leases import release_lease as release
from emergency.leases import renew_lease as renew
from feeds import values
from feeds.malformed import Malformed, Wrong
from feeds.objects import Parser, read_list, read_object
from riskcore.calendar import moment
from state.store import Store

MOST_ACCOUNTS = 10_000
_MOST_BYTES = 1024 * 1024


def _accounts(raw: bytes) -> list[str]:
    return read_list(raw, values.text(64), most=MOST_ACCOUNTS, least=1)


def _ttl(raw: bytes) -> int:
    seconds = values.whole(raw)
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise Wrong(f"must be from {SHORTEST_S} to {LONGEST_S} seconds", "out_of_range")
    return seconds


_FIELDS: dict[str, Parser] = {
    "holder": values.text(LONGEST_HOLDER),
    "accounts": _accounts,
    "ttl": _ttl,
    "on_silence": values.choice(OnSilence),
}


class LeasesView(RiskView):
    """The leases that OMSs hold."""

    needs = {"GET": (VIEW_ACCOUNT, CHECK_ORDERS, ENGAGE_STOP), "POST": (CHECK_ORDERS,)}

    def get(self, request: Request) -> Response:
        """Return the leases of accounts that the caller is for, each with its age; the database is not needed."""
        read_query(request, {})
        return Response({"results": held_leases(desk().store, caller(request)), "next": None})

    def post(self, request: Request) -> Response:
        """Take a lease, or renew it: it runs from now on, for the accounts that are named, or all of the key's."""
        asked = read_object(json_body(request._request, _MOST_BYTES), _FIELDS, ("holder", "ttl"))
        store, who = desk().store, caller(request)
        accounts = _wanted(request, store, asked.get("accounts"))
        try:
            made = renew(
                store,
                holder=asked["holder"],
                accounts=accounts,
                ttl_s=asked["ttl"],
                on_silence=asked.get("on_silence", OnSilence.ALERT),
                actor=who.actor,
                may_see=who.may_see,
            )
        except HeldByAnother as error:
            raise Problem(409, "held_by_another", str(error)) from None
        except TooManyLeases as error:
            raise Problem(409, "too_many_leases", str(error)) from None
        since_us = made.was_silent_since_us
        shown = _shown(made.lease, who, made.lease.renewed_at_us)
        return Response(
            {**shown, "was_silent_since": moment(since_us) if since_us else None}, status=201 if made.new else 200
        )


class LeaseView(RiskView):
    """The lease of one OMS."""

    needs = {"DELETE": (CHECK_ORDERS, LIFT_STOP)}

    def delete(self, request: Request, holder: str) -> Response:
        """Release a lease: from now on the silence of its holder alarms nobody."""
        read_query(request, {})
        holder = read_part("holder", holder, identifier)
        store, who = desk().store, caller(request)
        try:
            ended = release(store, holder, actor=who.actor, may_see=who.may_see)
        except NoSuchLease as error:
            raise errors.not_found(str(error)) from None
        except HeldByAnother as error:
            raise Problem(403, "not_this_account", str(error)) from None
        return Response(_shown(ended, who, now_us(store)))


def held_leases(store: Store, who: Caller) -> list[dict[str, Any]]:
    """Return the leases of accounts that somebody is for, each with its age. Raises StateUnavailable."""
    at_us = now_us(store)
    held = (each.held for _, each in sorted(kept_leases(store).items()))
    return [_shown(each, who, at_us) for each in held if each is not None and _concerns(who, each)]


def _wanted(request: Request, store: Store, named: Iterable[str] | None) -> list[str]:
    """Return the accounts that a lease is asked for: those named, or else all that the caller is for.

    Raises Problem 403, and Malformed where there is no such account: it would not be the one that is meant.
    """
    known = in_force_now(store).book.accounts
    if named is None:
        found = [each for each in known if caller(request).may_see(each)]
        if not found:
            raise Malformed.of("accounts", "is missing, and there is no account that the API key is for", "missing")
        return found
    for place, each in enumerate(named):
        demand_account(request, each)
        if each not in known:
            raise Malformed.of(f"accounts[{place}]", f"there is no account {each}", "unknown_account")
    return list(named)


def _concerns(who: Caller, lease: Lease) -> bool:
    return any(map(who.may_see, lease.accounts))


def _shown(lease: Lease, who: Caller, at_us: int) -> dict[str, Any]:
    """Return a lease as it is at a moment; of its accounts those that the caller is for."""
    return {
        "holder": lease.holder,
        "accounts": list(filter(who.may_see, lease.accounts)),
        "ttl": lease.ttl_us // 1_000_000,
        "on_silence": OnSilence.REDUCE if lease.reduces else OnSilence.ALERT,
        "renewed_by": lease.actor,
        "granted_at": moment(lease.granted_at_us),
        "renewed_at": moment(lease.renewed_at_us),
        "expires_at": moment(lease.ends_at_us),
        "age_ms": max(0, at_us - lease.renewed_at_us) // 1_000,
        "silent": at_us > lease.ends_at_us,
        "silent_since": moment(lease.silent_since_us) if lease.silent_since_us else None,
    }
