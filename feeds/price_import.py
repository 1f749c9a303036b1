"""Puts the prices of a file into the history, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import groupby

from django.db import transaction

from audit.services import record
from feeds.models import Interval, PriceBar
from feeds.price_files import Bar, PriceFile, Show

_TOGETHER = 2_000
# So many bars that changed are in the audit log with their values on either side.
_SHOWN_CHANGES = 20
_PRICES = ("open", "high", "low", "close", "volume")

_Key = tuple[str, datetime]
_Prices = tuple[Decimal | None, ...]


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import did. `added`, `changed` and `unchanged` count bars; `first` and `last` are starts of bars."""

    added: int
    changed: int
    unchanged: int
    symbols: tuple[str, ...]
    first: datetime
    last: datetime


@transaction.atomic
def do_import_prices(
    content: PriceFile,
    *,
    interval: Interval,
    actor: str,
    reason: str,
    name: str,
    dry_run: bool = False,
    show: Show = lambda _done, _total: None,
) -> Imported:
    """Write the bars of a file; a bar that is there becomes what the file says, wholly.

    Bars that are there already as they are stay untouched, so a second import does nothing. Whatever changes is
    recorded in the audit log, in the same transaction.

    Parameters
    ----------
    content
        The file as it was read.
    interval
        How long its bars are.
    actor, reason, name
        Who imports, why, and what the file is called, for the audit log.
    dry_run
        Count, and write nothing.
    show
        Called with bars done and bars in all, now and then.
    """
    bars, added, unchanged = content.bars, 0, 0
    changes: list[tuple[Bar, _Prices]] = []
    for at in range(0, len(bars), _TOGETHER):
        some = bars[at : at + _TOGETHER]
        kept = _kept(some, interval)
        new = [bar for bar in some if bar[:2] not in kept]
        other = [(bar, kept[bar[:2]]) for bar in some if bar[:2] in kept and kept[bar[:2]] != bar[2:]]
        added, unchanged = added + len(new), unchanged + len(some) - len(new) - len(other)
        changes += other
        if not dry_run:
            _write([*new, *(bar for bar, _ in other)], interval)
        show(at + len(some), len(bars))
    done = Imported(
        added=added,
        changed=len(changes),
        unchanged=unchanged,
        symbols=tuple(dict.fromkeys(bar.symbol for bar in bars)),
        first=min(bar.start for bar in bars),
        last=max(bar.start for bar in bars),
    )
    if (added or changes) and not dry_run:
        _record(done, changes, content, interval, actor=actor, reason=reason, name=name)
    return done


def _kept(bars: Sequence[Bar], interval: Interval) -> Mapping[_Key, _Prices]:
    """Return what is there of bars that are sorted by symbol and time."""
    found: dict[_Key, _Prices] = {}
    for symbol, group in groupby(bars, key=lambda bar: bar.symbol):
        starts = [bar.start for bar in group]
        rows = PriceBar.objects.filter(symbol=symbol, interval=interval, start__range=(starts[0], starts[-1]))
        for start, *prices in rows.order_by().values_list("start", *_PRICES):
            found[symbol, start] = tuple(prices)
    return found


def _write(bars: Sequence[Bar], interval: Interval) -> None:
    PriceBar.objects.bulk_create(
        [PriceBar(interval=interval, **bar._asdict()) for bar in bars],
        batch_size=_TOGETHER,
        update_conflicts=True,
        unique_fields=["symbol", "interval", "start"],
        # What a file says is not changed any more by prices that are received.
        update_fields=[*_PRICES, "first_at", "last_at"],
    )


def _record(
    done: Imported,
    changes: Sequence[tuple[Bar, _Prices]],
    content: PriceFile,
    interval: Interval,
    *,
    actor: str,
    reason: str,
    name: str,
) -> None:
    shown = changes[:_SHOWN_CHANGES]
    record(
        actor=actor,
        action="prices.import",
        object_type=PriceBar._meta.label_lower,
        object_id=content.sha256,
        object_label=name,
        reason=reason,
        before={"changed": [_said(bar, prices) for bar, prices in shown]} if shown else None,
        after={
            "interval": interval.value,
            "symbols": len(done.symbols),
            "first": done.first,
            "last": done.last,
            "bars_added": done.added,
            "bars_changed": done.changed,
            "bars_unchanged": done.unchanged,
            "changed": [_said(bar, bar[2:]) for bar, _ in shown],
        },
    )


def _said(bar: Bar, prices: _Prices) -> dict[str, object]:
    return {"symbol": bar.symbol, "start": bar.start, **dict(zip(_PRICES, prices, strict=True))}
