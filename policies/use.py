"""How much of each limit is used now, by the account that uses most of it: for pages, not for checks."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from decimal import Decimal, localcontext
from functools import lru_cache

from msgspec import Struct

from audit.acting import Acting
from policies.book import loaded
from policies.preview.standing import expired_of, view_of
from riskcore.compiled import CompiledBook
from riskcore.decimals import EXACT, INFINITY, ZERO
from riskcore.limits import Finding
from riskcore.picture import Reading, readings_of, take_picture
from riskcore.types import Price
from state.changes import UNKNOWN
from state.store import StateUnavailable, Store

logger = logging.getLogger(__name__)

# More than so many accounts times limits take longer than a page may: some 20 microseconds each.
MOST_READINGS = 20_000

_compiled = lru_cache(maxsize=1)(lambda version: CompiledBook(loaded(version)))


class Use(Struct, frozen=True):
    """The most that any account uses of a limit: `share` as a fraction of it, None beyond measure."""

    account_id: str
    share: Decimal | None
    holds: bool

    def __str__(self) -> str:
        shown = "beyond measure" if self.share is None else f"{100 * self.share:.0f} %"
        return f"{shown} ({self.account_id})"


def uses_now(store: Store, acting: Acting) -> dict[str, Use]:
    """Return the use of each limit by its id, over the accounts that somebody may see.

    Nothing where the live state is away or has no book, or where accounts times limits are more than MOST_READINGS:
    then it is not known here. A limit that no account has a figure for is left out.
    """
    try:
        control = store.control()
        if control is None:
            return {}
        book = _compiled(control.book_version)
        names = [account_id for account_id in book.accounts if acting.may_see(account_id)]
        if len(names) * len(book.book.policies) > MOST_READINGS:
            return {}
        return _most_used(_readings(store, book, names))
    except (StateUnavailable, LookupError, ValueError) as error:
        logger.warning("nobody can say how much of the limits is used: %s", error)
        return {}


def _readings(store: Store, book: CompiledBook, names: Iterable[str]) -> Iterator[tuple[str, Reading]]:
    prices: dict[str, Price] = store.all_prices()
    with localcontext(EXACT):
        for part in store.changed("", dict.fromkeys(names, UNKNOWN)):
            for record in part.records:
                try:
                    picture = take_picture(
                        view_of(record, prices), book, part.now_us, expired_of(store, record, part.now_us)
                    )
                    yield from ((record.account_id, reading) for reading in readings_of(picture))
                except (ValueError, ArithmeticError) as error:
                    logger.warning("account %s is left out of what is used: %s", record.account_id, error)


def _most_used(readings: Iterable[tuple[str, Reading]]) -> dict[str, Use]:
    found: dict[str, Use] = {}
    for account_id, reading in readings:
        finding = reading.finding
        if finding is None or finding.value is None:
            continue
        known = found.get(reading.limit.policy.id)
        if known is None or _share(finding) > (INFINITY if known.share is None else known.share):
            found[reading.limit.policy.id] = Use(account_id, finding.utilisation, finding.holds)
    return found


def _share(finding: Finding) -> Decimal:
    return INFINITY if finding.utilisation is None else max(ZERO, finding.utilisation)
