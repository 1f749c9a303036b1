"""The edits that lead from the rows as they are now to what a book says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import uuid4

from django.utils import timezone
from msgspec import Struct

from policies.book import account_of, instrument_of, parameters, policy_of, profile_of, restriction_of
from policies.edits import Edit
from policies.models import Account, CapitalProfile, Instrument, Managed, Policy, RestrictedSymbol
from policies.wording_items import field_title
from riskcore import book as core
from riskcore.calendar import microseconds, moment

Item = TypeVar("Item", bound=Struct)


class Restoring(Struct, frozen=True):
    """What leads back to a book. `left` says what stays different, for people."""

    edits: tuple[Edit, ...]
    left: tuple[str, ...]


def edits_to_restore(book: core.Book, now: datetime | None = None) -> Restoring:
    """Return the edits that make the present rows say what a book says.

    Rows are never deleted. A limit that is not in the book is disabled, and so is an account; an instrument's rules
    are forgotten, a restriction is lifted. Restrictions whose time is over by `now` (default: this moment), settings
    and the history of prices are left as they are.
    """
    now_us = microseconds(now or timezone.now())
    edits = (
        *_profiles(book),
        *_accounts(book),
        *_instruments(book),
        *_restrictions(book, now_us),
        *_policies(book),
    )
    return Restoring(edits, tuple(_left(book, now_us)))


def _policies(book: core.Book) -> Iterator[Edit]:
    wanted = {limit.id: limit for limit in book.policies}
    for row in Policy.objects.order_by("id"):
        limit = wanted.get(str(row.pk))
        if limit is not None:
            yield from _edit("policy", row, {**_differing(policy_of(row), limit), **_enabled(row)})
        elif row.enabled:
            yield from _edit("policy", row, {"enabled": False})


def _enabled(row: Policy) -> dict[str, Any]:
    return {} if row.enabled else {"enabled": True}


def _profiles(book: core.Book) -> Iterator[Edit]:
    wanted = {profile.name: profile for profile in book.profiles}
    for row in CapitalProfile.objects.order_by("name"):
        if row.pk in wanted:
            yield from _edit("profile", row, _differing(profile_of(row), wanted[row.pk]))


def _accounts(book: core.Book) -> Iterator[Edit]:
    wanted = {account.id: account for account in book.accounts}
    for row in Account.objects.order_by("id"):
        account = wanted.get(row.pk)
        if account is not None:
            yield from _edit("account", row, _with_seconds(_differing(account_of(row), account)))
        elif row.enabled:
            yield from _edit("account", row, {"enabled": False})


def _with_seconds(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an account as its row has them: the life of reservations in seconds, None the default."""
    life_us = fields.pop("reservation_ttl_us", None)
    return fields if life_us is None else {**fields, "reservation_ttl_s": life_us // 1_000_000 or None}


def _instruments(book: core.Book) -> Iterator[Edit]:
    wanted = {instrument.symbol: instrument for instrument in book.instruments}
    for row in Instrument.objects.order_by("symbol"):
        rules = wanted.get(row.pk) or core.Instrument(symbol=row.pk)
        yield from _edit("instrument", row, _differing(instrument_of(row), rules))


def _restrictions(book: core.Book, now_us: int) -> Iterator[Edit]:
    """Yield the edits of restrictions: the same one is not lifted and made again."""
    missing = [each for each in book.restrictions if not _is_over(each, now_us)]
    for row in RestrictedSymbol.objects.filter(active=True).order_by("id"):
        restriction = restriction_of(row)
        if restriction in missing:
            missing.remove(restriction)
        elif not _is_over(restriction, now_us):
            yield from _edit("restriction", row, {"active": False})
    for each in missing:
        yield Edit("restriction", str(uuid4()), 0, _fields_of(each))


def _is_over(restriction: core.Restriction, now_us: int) -> bool:
    return 0 < restriction.until_us <= now_us


def _fields_of(restriction: core.Restriction) -> dict[str, Any]:
    return {
        "symbol": restriction.symbol,
        "side": restriction.side.value if restriction.side else "",
        "account": restriction.account_id or None,
        "close_only": restriction.close_only,
        "until": moment(restriction.until_us).isoformat() if restriction.until_us else None,
        "reason": restriction.reason,
    }


def _left(book: core.Book, now_us: int) -> Iterator[str]:
    present = parameters()
    settings = [name for name in present.__struct_fields__ if getattr(present, name) != getattr(book.parameters, name)]
    if settings:
        yield f"Settings come from the configuration, and stay: {', '.join(map(field_title, settings))}."
    known = {profile.name for profile in book.profiles}
    newer = [name for name in CapitalProfile.objects.values_list("name", flat=True) if name not in known]
    if newer:
        yield f"Capital profiles that the book does not have stay: {', '.join(sorted(newer))}."
    over = sorted({each.symbol for each in book.restrictions if _is_over(each, now_us)})
    if over:
        yield f"Restrictions that are over by now are not made again: {', '.join(over)}."


def _differing(present: Item, wanted: Item) -> dict[str, Any]:
    """Return the fields of an item that are to be set, as JSON has them."""
    return {
        name: _as_json(getattr(wanted, name))
        for name in wanted.__struct_fields__
        if name not in ("id", "version") and getattr(present, name) != getattr(wanted, name)
    }


def _as_json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, tuple):
        return [str(each) for each in value]
    return value.value if hasattr(value, "value") else value


def _edit(kind: str, row: Managed, fields: Mapping[str, Any]) -> Iterator[Edit]:
    if fields:
        yield Edit(kind, str(row.pk), row.version, fields)
