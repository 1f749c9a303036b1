"""From the rows to the published book, and from the published book to the live state."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from msgspec import UNSET
from msgspec.structs import replace

from audit.sealing import seal
from audit.services import record
from bus import publish as bus
from bus.events import BookPublished
from policies.hours import parse_window
from policies.models import (
    Account,
    Book,
    BookLock,
    BookReturns,
    CapitalProfile,
    Instrument,
    Managed,
    Override,
    Policy,
    RestrictedSymbol,
)
from riskcore import book as core
from riskcore.calendar import microseconds
from riskcore.compiled import CompiledBook
from riskcore.decimals import tidy
from riskcore.types import OrderType, Side
from state.store import StateUnavailable
from state.wiring import store

logger = logging.getLogger(__name__)

CONFIGURATION = "configuration"


# ---------------------------------------------------------------------------------------- rows to a book
def build_book(version: int, returns: BookReturns | None = None) -> core.Book:
    """Return the book that the present rows and settings make with these returns, under this number."""
    return core.Book(
        version=version,
        returns=UNSET if returns is None else decode_returns(returns.content),
        parameters=parameters(),
        **_parts_of(_PARTS),
    )


def build_next(book: core.Book, written: Collection[type[Managed]]) -> core.Book:
    """Return the book after `book` by the present rows, of which only those of these kinds were written since."""
    return replace(book, version=book.version + 1, **_parts_of(written))


def _parts_of(models: Iterable[type[Managed]]) -> dict[str, tuple[Any, ...]]:
    found = (_PARTS[model] for model in models)
    return {part: tuple(map(make, rows())) for part, make, rows in found}


def parameters() -> core.Parameters:
    """Return the part of the book that comes from the settings."""
    return core.Parameters(
        state_max_age_us=_us(settings.RISK_STATE_MAX_AGE),
        price_max_age_us=_us(settings.RISK_PRICE_MAX_AGE),
        sender_clock_tolerance_us=_us(settings.RISK_CLOCK_TOLERANCE),
        reservation_ttl_us=_us(settings.RISK_RESERVATION_TTL),
        default_margin_rate=tidy(settings.RISK_MARGIN_RATE),
        market_slippage=tidy(settings.RISK_MARKET_SLIPPAGE),
        warning_utilisation=tidy(settings.RISK_WARNING_UTILISATION),
        critical_utilisation=tidy(settings.RISK_CRITICAL_UTILISATION),
        day_zone=settings.RISK_DAY_ZONE,
        day_roll_minute=settings.RISK_DAY_ROLL_MINUTE,
        monitor_max_age_us=_us(settings.RISK_MONITOR_SILENCE),
        silence_blocks=settings.RISK_MONITOR_SILENCE_BLOCKS,
        rapid_window_us=_us(settings.RISK_RAPID_WINDOW),
        returns_max_age_us=_us(settings.RISK_VAR_HISTORY_MAX_AGE),
    )


def policy_of(row: Policy) -> core.Policy:
    """Return a limit as the book has it."""
    return core.Policy(
        id=str(row.id),
        name=row.name,
        type=core.PolicyType(row.type),
        metric=row.metric,
        operator=core.Operator(row.operator),
        threshold=tidy(row.threshold),
        scope=core.Scope(row.scope),
        scope_ids=tuple(row.scope_ids),
        priority=row.priority,
        on_breach=core.OnBreach(row.on_breach),
        window_s=row.window_s,
        mode=core.Mode(row.mode),
        active=tuple(map(parse_window, row.active_windows)),
        effective_from_us=_moment_us(row.effective_from),
        effective_until_us=_moment_us(row.effective_until),
        rollout_percent=row.rollout_percent,
        test_group=row.test_group,
        volatility=row.volatility_scale,
        version=row.version,
    )


def profile_of(row: CapitalProfile) -> core.Profile:
    """Return a capital profile as the book has it."""
    return core.Profile(
        name=row.name,
        allowed_leverage=tidy(row.allowed_leverage),
        max_single_trade_risk=tidy(row.max_single_trade_risk),
        max_daily_loss=tidy(row.max_daily_loss),
        max_weekly_loss=tidy(row.max_weekly_loss),
        max_open_positions=row.max_open_positions,
        strategies=tuple(row.strategies),
    )


def account_of(row: Account) -> core.Account:
    """Return a account as the book has it."""
    return core.Account(
        id=row.id,
        profile=row.profile_id,
        exchange=row.exchange,
        enabled=row.enabled,
        reservation_ttl_us=(row.reservation_ttl_s or 0) * 1_000_000,
    )


def restriction_of(row: RestrictedSymbol) -> core.Restriction:
    """Return a restriction as the book has it."""
    return core.Restriction(
        symbol=row.symbol,
        reason=row.reason,
        side=Side(row.side) if row.side else None,
        account_id=row.account_id or "",
        close_only=row.close_only,
        until_us=_moment_us(row.until),
    )


def instrument_of(row: Instrument) -> core.Instrument:
    """Return a instrument as the book has it."""
    return core.Instrument(
        symbol=row.symbol,
        tick_size=tidy(row.tick_size),
        lot_size=tidy(row.lot_size),
        min_quantity=tidy(row.min_quantity),
        max_quantity=tidy(row.max_quantity),
        margin_rate=tidy(row.margin_rate),
        order_types=tuple(map(OrderType, row.order_types)),
        average_daily_volume=tidy(row.average_daily_volume) or UNSET,
    )


def override_of(row: Override) -> core.Override:
    """Return an override as the book has it."""
    return core.Override(
        id=str(row.id),
        account_id=row.account_id,
        reason=row.reason,
        symbol=row.symbol,
        side=Side(row.side) if row.side else None,
        from_us=_moment_us(row.valid_from),
        until_us=microseconds(row.until),
        max_orders=row.max_orders,
        max_quantity=tidy(row.max_quantity),
        max_notional=tidy(row.max_notional),
        liquidation=row.liquidation,
    )


# Which part of a book the rows of each kind are in, what makes an item of a row, and which rows are in force.
_PARTS: dict[type[Managed], tuple[str, Callable[[Any], Any], Callable[[], Iterable[Any]]]] = {
    Policy: ("policies", policy_of, lambda: Policy.objects.filter(enabled=True).order_by("id")),
    CapitalProfile: ("profiles", profile_of, lambda: CapitalProfile.objects.order_by("name")),
    Account: ("accounts", account_of, lambda: Account.objects.order_by("id")),
    RestrictedSymbol: (
        "restrictions",
        restriction_of,
        lambda: RestrictedSymbol.objects.filter(active=True).order_by("id"),
    ),
    Override: (
        "overrides",
        override_of,
        # Nobody uses one any more whose time is over.
        lambda: Override.objects.filter(active=True, until__gt=timezone.now()).order_by("id"),
    ),
    Instrument: ("instruments", instrument_of, lambda: Instrument.objects.order_by("symbol")),
}


def _moment_us(at: datetime | None) -> int:
    return microseconds(at) if at is not None else 0


def item_of(row: Managed) -> Any:
    """Return a row as the item that a book has of it."""
    return _PARTS[type(row)][1](row)


def part_of(model: type[Managed]) -> str:
    """Return the part of a book that the rows of a model make."""
    return _PARTS[model][0]


def _us(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


# ------------------------------------------------------------------------------------------ making books
def lock_books() -> None:
    """Wait for every other change to be committed, and keep further ones waiting until this one is.

    Everything that changes a row of this package calls this first. Needs a transaction.
    """
    BookLock.objects.get_or_create(pk=1)
    BookLock.objects.select_for_update().get(pk=1)


def add_book(
    *, actor: str, reason: str, at: datetime, returns: BookReturns | None = None, built: core.Book | None = None
) -> Book:
    """Number and keep the book that the rows now make, for the caller that holds the lock of `lock_books`.

    `returns` None: it goes by those of the book before it. `built` is what the rows make without its returns, where the
    caller has worked that out. Raises ValueError where a policy cannot be evaluated: such a book must not be published.
    """
    previous = latest()
    if returns is None and previous is not None:
        returns = previous.returns
    version = previous.version + 1 if previous is not None else 1
    if built is None:
        book = build_book(version, returns)
    else:
        book = replace(built, version=version, returns=UNSET if returns is None else decode_returns(returns.content))
    CompiledBook(book)
    row = Book(
        version=book.version,
        content=core.encode_book(replace(book, returns=UNSET)).decode(),
        returns=returns,
        sha256=core.content_hash(core.encode_book(book)),
        created_at=at,
        actor=actor,
        reason=reason,
    )
    seal(row)
    return row


def published(book: Book) -> bytes:
    """Return all of a book's JSON, as the live state has it. Raises msgspec.DecodeError where it cannot be read.

    What it says is passed on as it was written, whatever this version of the program reads in it.
    """
    if book.returns is None:
        return book.content.encode()
    said = msgspec.json.decode(book.content, type=dict[str, msgspec.Raw])
    return msgspec.json.encode({**said, "returns": msgspec.Raw(book.returns.content.encode())}, order="sorted")


def decode_returns(content: str) -> core.Returns:
    """Return the history that a book goes by. Raises msgspec.DecodeError where it is none."""
    return msgspec.json.decode(content, type=core.Returns)


def as_evidence(book: Book) -> dict[str, object]:
    """Return what an audit event says of a book, so that the chain holds its content too."""
    return {"version": book.version, "sha256": book.sha256}


def latest() -> Book | None:
    """Return the newest book, None before the first."""
    return Book.objects.select_related("returns").order_by("-version").first()


def loaded(version: int) -> core.Book:
    """Return a published book, checked against its hash.

    Raises LookupError where there is none, and ValueError where its content was changed.
    """
    row = Book.objects.select_related("returns").filter(version=version).first()
    if row is None:
        raise LookupError(f"there is no book {version}")
    try:
        content = published(row)
        book, sha256 = core.decode_book(content), core.content_hash(content)
    except msgspec.DecodeError as error:
        raise ValueError(f"book {version} cannot be read: {error}") from error
    if book.version != version or sha256 != row.sha256:
        raise ValueError(f"book {version} is not what was published: its content does not have its hash")
    return book


# ------------------------------------------------------------------------------------------- publishing
def publish(book: Book) -> bool:
    """Make a committed book live; return whether it is. Where it is not, the refresh task tries again."""
    try:
        live = store().publish_book(book.version, published(book)) >= book.version
    except StateUnavailable as error:
        logger.warning("book %s is not live yet, the live state is away: %s", book.version, error)
        return False
    if live:
        _tell(book)
    return live


def _tell(book: Book) -> None:
    bus.publish(
        BookPublished(
            version=book.version,
            sha256=book.sha256,
            actor=book.actor,
            reason=book.reason,
            created_at=book.created_at,
        )
    )


def ensure_published() -> bool:
    """Repair any difference between settings, database and live state; return whether there was one.

    A live state without its memory is left alone: to restore it takes more than the book. Raises
    StateUnavailable and Django's database errors.
    """
    control = store().control()
    newest = latest()
    if newest is None or control is None:
        return False
    newest = _follow_settings(newest)
    if control.book_version > newest.version:
        logger.error(
            "the live state has book %s, the database none after %s: was an old backup restored?",
            control.book_version,
            newest.version,
        )
        return False
    content = published(newest)
    if control.book_version == newest.version and store().fetch_book(newest.version) == content:
        return False
    logger.warning("book %s was not live and is published again", newest.version)
    store().publish_book(newest.version, content)
    if control.book_version < newest.version:
        _tell(newest)
    return True


def _follow_settings(newest: Book) -> Book:
    """Return the newest book, a new one if the settings have changed since it was made."""
    if core.decode_book(newest.content.encode()).parameters == parameters():
        return newest
    with transaction.atomic():
        lock_books()
        current = latest() or newest
        before = core.decode_book(current.content.encode()).parameters
        if before == parameters():
            return current
        at = timezone.now()
        reason = "The settings that decisions depend on were changed"
        book = add_book(actor=CONFIGURATION, reason=reason, at=at)
        record(
            actor=CONFIGURATION,
            action="parameters.change",
            object_type="parameters",
            object_id="settings",
            object_label="Settings that decisions depend on",
            reason=reason,
            before=msgspec.structs.asdict(before),
            after={**msgspec.structs.asdict(parameters()), "book": as_evidence(book)},
            at=at,
        )
    return book
