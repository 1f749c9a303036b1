"""A preview as the page of its request shows it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
from django.conf import settings
from msgspec import Struct

from audit.acting import Acting
from policies.models import APPROVE_LIMITS, CHANGE_LIMITS, Book, ChangeRequest, Preview, Progress
from policies.preview.impact import AccountUse, Breached, Impact, LimitUse, Row, Use, decode_impact
from policies.preview.replay import Apart, Flip, Kind, Told
from policies.preview.services import OPEN
from policies.wording_numbers import figure
from riskcore.book import PolicyType
from riskcore.calendar import moment
from riskcore.decimals import tidy
from riskcore.firm import FIRM
from riskcore.metrics import METRICS, Unit

KIND_WORDS = {
    Kind.BLOCKED: "would be blocked",
    Kind.APPROVED: "would be approved",
    Kind.OFFERED: "would be offered another quantity",
    Kind.REASON: "would be blocked for another reason",
    Kind.WARNED: "would have other warnings",
    Kind.SHADOWED: "would break another limit in shadow",
}
APART_WORDS = {
    Apart.WHAT_IF: "what-ifs: they are no orders",
    Apart.UNKNOWN_ACCOUNT: "orders of accounts that neither book knows",
    Apart.DUPLICATE: "orders under the id of another order",
    Apart.BATCH: "orders refused because another one of their atomic batch was",
    Apart.MOMENT: "blocks that no limit decided: contention, or an approval that had ended",
    Apart.UNREADABLE: "decisions that could not be worked out again",
}
# A bar is so long, as the template draws it, where a limit is used up; what goes beyond is cut off at its end.
_BAR, _BAR_END = 100, 125
_WARNING, _BROKEN = Decimal("0.75"), Decimal(1)


class ShownUse(Struct, frozen=True):
    """How much an account uses of a limit, now and under the proposed book; bars in units of the drawing."""

    account: str
    where: str
    before: str
    after: str
    before_bar: str
    after_bar: str
    colour: str
    limit_before: str
    limit_after: str


class ShownLimit(Struct, frozen=True):
    """A limit that changes, and the accounts that use most of it."""

    limit: LimitUse
    title: str
    uses: tuple[ShownUse, ...]


class ShownBreach(Struct, frozen=True):
    """A limit that would be broken at once."""

    account: str
    limit: str
    message: str
    effect: str
    colour: str


class ShownFlip(Struct, frozen=True):
    """An order that would be answered otherwise."""

    flip: Flip
    at: datetime
    order: str
    words: str
    before: str
    after: str


class Shown(Struct, frozen=True):
    """What a preview found, as far as whoever looks may see it."""

    impact: Impact
    since: datetime | None
    until: datetime | None
    flips: tuple[ShownFlip, ...]
    flip_count: int
    others: tuple[ShownFlip, ...]
    what_ifs: tuple[tuple[int, str], ...]
    by_limit: tuple[tuple[str, int, int, int], ...]
    by_account: tuple[tuple[str, int, int, int], ...]
    apart: tuple[tuple[int, str], ...]
    breaches: tuple[ShownBreach, ...]
    trips: bool
    limits: tuple[ShownLimit, ...]
    is_partial: bool


class Page(Struct, frozen=True):
    """The newest preview of a request. `outdated` says why it is not of what would be published now."""

    row: Preview | None
    is_open: bool
    may_ask: bool
    is_lost: bool
    is_stuck: bool
    age: str
    outdated: tuple[str, ...]
    shown: Shown | None
    problem: str

    @property
    def is_awaited(self) -> bool:
        """Whether it is worked out, or will be."""
        return self.row is not None and self.row.is_unfinished and not self.is_lost


def page_of(request: ChangeRequest, acting: Acting, now: datetime) -> Page:
    """Return what the page of a request shows of its newest preview."""
    row = Preview.objects.filter(request=request).order_by("-id").first()
    is_open = request.state in OPEN
    may_ask = is_open and (acting.may(CHANGE_LIMITS) or acting.may(APPROVE_LIMITS))
    shown, problem = _shown(row, acting)
    return Page(
        row=row,
        is_open=is_open,
        may_ask=may_ask,
        is_lost=row is not None and row.is_lost(now),
        is_stuck=row is not None and row.state == Progress.WAITING and now - row.alive_at > timedelta(seconds=30),
        age="" if row is None else _age(now - (row.finished_at or row.created_at)),
        outdated=() if row is None or row.is_unfinished else tuple(_outdated(row, request)),
        shown=shown,
        problem=problem,
    )


def _outdated(row: Preview, request: ChangeRequest) -> Iterable[str]:
    """Yield why a preview is not of what would be published now."""
    if row.request_version != request.version:
        yield f"It is of version {row.request_version} of the request, which is version {request.version} now."
    newest = Book.objects.order_by("-version").values_list("version", "sha256").first()
    if request.state in OPEN and newest is not None and row.book_sha256 not in ("", newest[1]):
        yield f"It was held against book {row.book_version}; book {newest[0]} is in force now."


def _age(since: timedelta) -> str:
    minutes = int(since.total_seconds()) // 60
    if minutes < 1:
        return "less than a minute ago"
    if minutes < 120:
        return f"{minutes} minute{'s' if minutes > 1 else ''} ago"
    return f"{minutes // 60} hours ago" if minutes < 2 * 24 * 60 else f"{minutes // (24 * 60)} days ago"


def _shown(row: Preview | None, acting: Acting) -> tuple[Shown | None, str]:
    if row is None or row.state != Progress.DONE:
        return None, "" if row is None else row.problem
    try:
        return shown(decode_impact(row.result), acting), ""
    except msgspec.DecodeError as error:
        return None, f"It was kept by another version of the program and cannot be read: {error}"


def shown(impact: Impact, acting: Acting) -> Shown:
    """Return what somebody may see of a preview: of orders and accounts, those that they are for."""
    orders, accounts = impact.orders, impact.accounts
    return Shown(
        impact=impact,
        since=moment(orders.since_us) if orders.since_us else None,
        until=moment(orders.until_us) if orders.until_us else None,
        flips=tuple(_shown_flip(flip) for flip in orders.flips if acting.may_see(flip.order.account_id)),
        flip_count=orders.blocked + orders.approved,
        what_ifs=tuple((count, KIND_WORDS[kind]) for kind, count in orders.what_ifs.items()),
        others=tuple(_shown_flip(flip) for flip in orders.others if acting.may_see(flip.order.account_id)),
        by_limit=tuple(map(_shown_row, orders.by_limit)),
        by_account=tuple(_shown_row(row) for row in orders.by_account if acting.may_see(row.name)),
        apart=tuple((count, APART_WORDS[apart]) for apart, count in orders.apart.items()),
        breaches=tuple(_shown_breach(one) for one in accounts.breaches if _may_see(acting, one.use)),
        trips=bool(settings.RISK_BREAKER_COUNT and accounts.tripping),
        limits=tuple(_shown_limit(limit, acting) for limit in accounts.limits),
        is_partial=bool(acting.accounts),
    )


def _may_see(acting: Acting, use: AccountUse) -> bool:
    return acting.may_see(use.account_id)


def _account(use: AccountUse) -> str:
    return "The firm" if use.account_id == FIRM else use.account_id


def _shown_breach(breached: Breached) -> ShownBreach:
    use = breached.use
    effect, colour = "an alert", "warning"
    if breached.type is PolicyType.EMERGENCY:
        effect, colour = "stops trading", "danger"
    elif breached.type is PolicyType.HARD and use.account_id != FIRM and settings.RISK_BREAKER_COUNT:
        effect, colour = "trips the circuit breaker", "danger"
    return ShownBreach(_account(use), breached.name, use.message, effect, colour)


def _shown_row(row: Row) -> tuple[str, int, int, int]:
    blocked, approved = row.counts.get(Kind.BLOCKED, 0), row.counts.get(Kind.APPROVED, 0)
    return row.name, blocked, approved, row.total - blocked - approved


# ------------------------------------------------------------------------------------------------------- orders
def _shown_flip(flip: Flip) -> ShownFlip:
    order = flip.order
    price = f"at {tidy(order.price):,f}" if order.price else "at the market"
    return ShownFlip(
        flip=flip,
        at=moment(flip.decided_at_us),
        order=f"{order.side} {tidy(order.quantity):,f} {order.symbol} {price}",
        words=KIND_WORDS[flip.kind],
        before=_answer(flip.before),
        after=_answer(flip.after),
    )


def _answer(answer: Told) -> str:
    if answer.approved:
        said = ["approved", *(f"warning: {each.message}" for each in answer.warnings)]
    else:
        offer = f" (up to {tidy(answer.max_quantity):,f} would pass)" if answer.max_quantity else ""
        said = [f"{answer.reason}: {answer.message}{offer}"]
    return "; ".join([*said, *(f"in shadow: {each.message}" for each in answer.shadow_violations)])


# ------------------------------------------------------------------------------------------------------ picture
def _shown_limit(limit: LimitUse, acting: Acting) -> ShownLimit:
    metric = METRICS.get(limit.metric)
    unit = Unit.QUANTITY if metric is None else metric.unit
    uses = tuple(_shown_use(use, unit) for use in limit.uses if _may_see(acting, use))
    return ShownLimit(limit, limit.metric if metric is None else metric.title, uses)


def _shown_use(use: AccountUse, unit: Unit) -> ShownUse:
    return ShownUse(
        account=_account(use),
        where=f"{use.symbol} on {use.exchange}" if use.exchange else use.symbol,
        before=_share(use.before),
        after=_share(use.after),
        before_bar=_bar(use.before),
        after_bar=_bar(use.after),
        colour=_colour(use.after),
        limit_before=_limit(use.before, unit),
        limit_after=_limit(use.after, unit),
    )


def _share(use: Use | None) -> str:
    if use is None:
        return "no limit"
    return "beyond measure" if use.utilisation is None else f"{use.utilisation * 100:.1f} %"


def _bar(use: Use | None) -> str:
    if use is None:
        return "0"
    length = _BAR_END if use.utilisation is None else min(Decimal(_BAR_END), use.utilisation * _BAR)
    return f"{length:.1f}"


def _colour(use: Use | None) -> str:
    """Return what a bar says by its colour, which its figure says too."""
    if use is None or (use.holds and use.utilisation is not None and use.utilisation < _WARNING):
        return "calm"
    return "near" if use.holds and use.utilisation is not None and use.utilisation <= _BROKEN else "broken"


def _limit(use: Use | None, unit: Unit) -> str:
    if use is None:
        return "-"
    value = "undefined" if use.value is None else figure(use.value, unit) if use.value.is_finite() else "infinite"
    return f"{value} of {use.operator} {figure(use.threshold, unit)}"
