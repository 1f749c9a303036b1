"""Every limit of every account at one moment: who uses most of each, and what is to be done about the firm."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct

from api.reading import in_force_now
from dashboard.pictures import Ranked, Row, row
from feeds.standing import standings
from riskcore.answer import state_at
from riskcore.decimals import INFINITY, ZERO, shown_ratio, tidy
from riskcore.picture import Reading
from riskcore.signal import GlobalSignal, Read, firm_overview, glance_of, global_signal, read_account, read_firm
from state.store import Store

# Of the accounts whose figures are old, so many are named.
_MOST_STALE = 50


class Survey(Struct, frozen=True):
    """What a look at everything found: the firm as its row has it, the limits, and accounts that no check would take.

    `stale` has each with the moment of its state, None where it has none.
    """

    firm: dict[str, Any]
    limits: Ranked[Reading]
    stale: tuple[tuple[str, datetime | None], ...]


def survey(store: Store) -> Survey:
    """Look at every limit of every account. Raises StateUnavailable, and Problem 503 before a restore."""
    of = in_force_now(store)
    known = list(standings(store, of.book))
    pictures = [each.picture for each in known]
    now_us = max((picture.now_us for picture in pictures), default=time.time_ns() // 1000)
    reads, whole = [read_account(picture) for picture in pictures], read_firm(pictures, of.book, now_us)
    signal = global_signal(map(glance_of, reads), glance_of(whole), of.book, now_us)
    overview = firm_overview(whole, of.stops)
    fresh = {each.picture.account.id: each.fresh for each in known}
    moments = {each.picture.account.id: state_at(each.state) for each in known}
    old = (name for name, account in of.book.accounts.items() if account.enabled and not fresh.get(name))
    return Survey(
        firm=_firm(signal, overview.equity, overview.metrics),
        limits=_ranked([whole, *reads]),
        stale=tuple((name, moments.get(name)) for name in sorted(old)[:_MOST_STALE]),
    )


def _firm(signal: GlobalSignal, equity: Decimal | None, metrics: dict[str, Decimal | None]) -> dict[str, Any]:
    return {
        "risk_level": signal.risk_level,
        "risk_score": signal.overall_risk_score,
        "tier": signal.emergency_tier_recommendation,
        "action_required": signal.emergency_action_required,
        "critical_issues": signal.critical_issues,
        "warnings": signal.warnings,
        "equity": equity,
        "metrics": metrics,
    }


def _ranked(reads: Iterable[Read]) -> Ranked[Reading]:
    """Return for each limit who uses it, the most first."""
    found: defaultdict[str, list[tuple[str, Reading]]] = defaultdict(list)
    for read in reads:
        for reading in _one_each(read):
            found[reading.limit.policy.id].append((read.picture.account.id, reading))
    for uses in found.values():
        uses.sort(key=lambda use: _share(use[1]), reverse=True)
    return Ranked(found, _row)


def _one_each(read: Read) -> list[Reading]:
    """Return of each limit the reading that uses most of it: one on symbols has one for each."""
    most: dict[str, Reading] = {}
    for reading in read.readings:
        if reading.finding is None or reading.finding.value is None:
            continue
        key = reading.limit.policy.id
        if key not in most or _share(reading) > _share(most[key]):
            most[key] = reading
    return list(most.values())


def _share(reading: Reading) -> Decimal:
    assert reading.finding is not None
    used = reading.finding.utilisation
    return INFINITY if used is None else max(ZERO, used)


def _row(account_id: str, reading: Reading) -> Row:
    limit, finding = reading.limit, reading.finding
    assert finding is not None
    policy, used = limit.policy, finding.utilisation
    return row(
        {
            "name": policy.name,
            "type": policy.type,
            "metric": policy.metric,
            "operator": policy.operator,
            "threshold": tidy(policy.threshold),
            "scope": policy.scope,
            "account_id": account_id or None,
            "symbol": reading.symbol or None,
            "exchange": reading.exchange or None,
            "value": None if finding.value is None else limit.metric.show(finding.value),
            "utilisation": None if used is None else shown_ratio(used),
            "holds": finding.holds,
        },
        account_id,
    )
