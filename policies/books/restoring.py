"""The edits that lead from the rows as they are now to what a book says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import uuid4

from django.utils import timezone
from msgspec import Struct

from policies.book import account_of, instrument_of, parameters, policy_of, profile_of, restriction_of
from policies.edits import Edit
from policies.hours import format_window
from policies.models import Account, CapitalProfile, Instrument, Managed, Override, Policy, RestrictedSymbol
from policies.wording_items import field_title
from riskcore import book as core
from riskcore.calendar import microseconds, moment
from riskcore.decimals import ZERO

Item = TypeVar("Item", bound=Struct)


class Restoring(Struct, frozen=True):
    """What leads back to a book. `left` says what stays different, for people."""

    edits: tuple[Edit, ...]
    left: tuple[str, ...]


def edits_to_restore(book: core.Book, now: datetime | None = None) -> Restoring:
    """Return the edits that make the present rows say what a book says.

    Rows are never deleted. A limit that is not in the book is disabled, and so is an account; an instrument's rules
    are forgotten, a restriction is lifted. Restrictions whose time is over by `now` (default: this moment), overrides,
    settings and the history of prices are left as they are.
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
            yield from _edit("account", row, _differing(account_of(row), account))
        elif row.enabled:
            yield from _edit("account", row, {"enabled": False})


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
        "until": _moment(restriction.until_us),
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
    granted = sorted({row.account_id for row in Override.objects.filter(active=True, until__gt=moment(now_us))})
    if granted:
        yield f"Overrides stay, until they are taken back: of {', '.join(granted)}."


def _differing(present: Item, wanted: Item) -> dict[str, Any]:
    """Return the fields of a row that are to be set, as JSON has them."""
    fields: dict[str, Any] = {}
    for name in wanted.__struct_fields__:
        value = getattr(wanted, name)
        if name not in ("id", "version") and getattr(present, name) != value:
            fields |= OTHERWISE[name](value) if name in OTHERWISE else {name: _as_json(value)}
    return fields


def _as_json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, tuple):
        return [str(each) for each in value]
    return value.value if hasattr(value, "value") else value


def _moment(at_us: int) -> str | None:
    return moment(at_us).isoformat() if at_us else None


def _scale(scale: core.VolatilityScale | None) -> dict[str, Any]:
    if scale is None:
        return {"volatility_symbol": ""}
    return {f"volatility_{name}": _as_json(getattr(scale, name)) for name in scale.__struct_fields__}


# What a row has otherwise than the book: the fields of the row by the field of the book.
OTHERWISE: dict[str, Callable[[Any], dict[str, Any]]] = {
    "reservation_ttl_us": lambda life_us: {"reservation_ttl_s": life_us // 1_000_000 or None},
    "active": lambda windows: {"active_windows": list(map(format_window, windows))},
    "effective_from_us": lambda at_us: {"effective_from": _moment(at_us)},
    "effective_until_us": lambda at_us: {"effective_until": _moment(at_us)},
    "volatility": _scale,
    "average_daily_volume": lambda volume: {"average_daily_volume": _as_json(volume or ZERO)},
}


def _edit(kind: str, row: Managed, fields: Mapping[str, Any]) -> Iterator[Edit]:
    if fields:
        yield Edit(kind, str(row.pk), row.version, fields)
