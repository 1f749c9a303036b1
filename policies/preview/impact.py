"""What a proposed book would change, as it is kept and shown."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal

import msgspec
from msgspec import Struct

from policies.preview.replay import Apart, Flip, Kind, Replayed
from riskcore.book import PolicyType

# As many orders are kept with the result, those decided last; all are counted.
MOST_FLIPS = 500
MOST_OTHERS = 100
# As many accounts are kept of each limit, the firm and those that use most of it; all are counted.
MOST_ACCOUNTS = 12
# As many limits are kept that would be broken at once; all are counted.
MOST_BREACHES = 500
# As many decisions that could not be replayed are named; all are counted.
_MOST_PROBLEMS = 20

_FLIPS = (Kind.BLOCKED, Kind.APPROVED)


class Row(Struct, kw_only=True):
    """How many orders of one account, or by one limit, are answered otherwise, by kind."""

    name: str
    counts: dict[Kind, int]

    @property
    def flips(self) -> int:
        """How many would be blocked that are approved now, or the other way about."""
        return sum(self.counts.get(kind, 0) for kind in _FLIPS)

    @property
    def total(self) -> int:
        """How many are answered otherwise in any way."""
        return sum(self.counts.values())


class Orders(Struct, kw_only=True, frozen=True):
    """What comes of recorded decisions. `since_us` and `until_us` are the moments of the first and the last, 0: none.

    `replayed` is how many there were, `counts` how many of the orders are answered otherwise, `what_ifs` the same of
    the what-ifs. `apart` has those that are counted apart. An order stopped by two limits is in the rows of both.
    `flips` are the last of those orders that would be blocked, or approved, and are not now; `others` the last of those
    that are answered otherwise in another way. `rejects` are journal entries of the time that could not be kept as
    decisions.
    """

    since_us: int
    until_us: int
    replayed: int
    counts: dict[Kind, int]
    what_ifs: dict[Kind, int]
    apart: dict[Apart, int]
    by_account: tuple[Row, ...]
    by_limit: tuple[Row, ...]
    flips: tuple[Flip, ...]
    others: tuple[Flip, ...]
    problems: tuple[str, ...]
    rejects: int = 0

    @property
    def blocked(self) -> int:
        """How many orders would be blocked that are approved now."""
        return self.counts.get(Kind.BLOCKED, 0)

    @property
    def approved(self) -> int:
        """How many orders would be approved that are blocked now."""
        return self.counts.get(Kind.APPROVED, 0)

    @property
    def otherwise(self) -> int:
        """How many orders would be answered otherwise in another way."""
        return sum(self.counts.values()) - self.blocked - self.approved


class Use(Struct, frozen=True, kw_only=True):
    """What an account uses of a limit under one book. `utilisation` None: beyond measure."""

    type: str
    operator: str
    threshold: Decimal
    value: Decimal | None
    utilisation: Decimal | None
    holds: bool


class AccountUse(Struct, frozen=True, kw_only=True):
    """A limit on an account, or on one of its symbols, under both books; None: it is not there under that one.

    `account_id` is empty for the firm. `message` says what is broken under the proposed book, empty where nothing is.
    """

    account_id: str
    symbol: str
    exchange: str
    before: Use | None
    after: Use | None
    message: str = ""

    @property
    def breaks(self) -> bool:
        """Whether the limit does not hold under the proposed book, and holds or is not there now."""
        return self.after is not None and not self.after.holds and (self.before is None or self.before.holds)

    @property
    def heals(self) -> bool:
        """Whether the limit does not hold now, and holds or is not there under the proposed book."""
        return self.before is not None and not self.before.holds and (self.after is None or self.after.holds)


class Breached(Struct, frozen=True, kw_only=True):
    """A limit that would be broken at once, of a type: hard, soft or emergency."""

    name: str
    type: PolicyType
    use: AccountUse


class LimitUse(Struct, frozen=True, kw_only=True):
    """A limit that changes, and the accounts that use most of it under either book, the firm in front.

    `accounts` is on how many accounts it is, `broken_...` on how many of them it does not hold under that book.
    """

    name: str
    metric: str
    accounts: int
    broken_before: int
    broken_after: int
    uses: tuple[AccountUse, ...]


class Accounts(Struct, frozen=True, kw_only=True):
    """What comes of the accounts as they stand.

    `looked_at` accounts may stand otherwise, `unknown` of them cannot be valued: no state, or a price that was never
    known. `broken` counts the limits that would be broken at once, and `breaches` has them, those of the firm and of
    emergency policies in front; `healed` counts those that would be broken no more. In `stopped` accounts, the firm one
    of them, an emergency limit would be, in `tripping` others a hard one.
    """

    looked_at: int
    unknown: int
    broken: int
    stopped: int
    tripping: int
    breaches: tuple[Breached, ...]
    healed: int
    limits: tuple[LimitUse, ...]


class Impact(Struct, frozen=True, kw_only=True):
    """All that a proposed book would change. `notes` say what was taken for granted; it took so many `seconds`."""

    orders: Orders
    accounts: Accounts
    notes: tuple[str, ...]
    seconds: float


def encode_impact(impact: Impact) -> str:
    """Return it as it is kept."""
    return msgspec.json.encode(impact).decode()


def decode_impact(content: str) -> Impact:
    """Return it as it was found. Raises msgspec.DecodeError where an older version of the program kept it otherwise."""
    return msgspec.json.decode(content, type=Impact)


class Tally:
    """Counts what recorded decisions come to, one after the other."""

    def __init__(self) -> None:
        self.replayed = self.since_us = self._until_us = 0
        self._counts: dict[Kind, int] = {}
        self._what_ifs: dict[Kind, int] = {}
        self._apart: dict[Apart, int] = {}
        self._accounts: dict[str, dict[Kind, int]] = {}
        self._limits: dict[str, dict[Kind, int]] = {}
        self._flips: deque[Flip] = deque(maxlen=MOST_FLIPS)
        self._others: deque[Flip] = deque(maxlen=MOST_OTHERS)
        self._problems: list[str] = []

    def add(self, decision_id: object, at_us: int, found: Replayed) -> None:
        """Count a decision, which was taken at `at_us` (microseconds since the epoch)."""
        self.replayed += 1
        self.since_us, self._until_us = self.since_us or at_us, at_us
        if found.apart is not None:
            self._apart[found.apart] = self._apart.get(found.apart, 0) + 1
        if found.problem and len(self._problems) < _MOST_PROBLEMS:
            self._problems.append(f"{decision_id}: {found.problem}")
        if found.flip is not None:
            self._add(found.flip, what_if=found.apart is Apart.WHAT_IF)

    def _add(self, flip: Flip, *, what_if: bool) -> None:
        if what_if:
            _count(self._what_ifs, flip.kind)
            return
        _count(self._counts, flip.kind)
        _count(self._accounts.setdefault(flip.order.account_id, {}), flip.kind)
        for cause in flip.causes:
            _count(self._limits.setdefault(cause, {}), flip.kind)
        (self._flips if flip.kind in _FLIPS else self._others).append(flip)

    def orders(self, *, rejects: int) -> Orders:
        """Return what was counted. `rejects`: how many journal entries of the time could not be kept."""
        return Orders(
            since_us=self.since_us,
            until_us=self._until_us,
            replayed=self.replayed,
            counts=self._counts,
            what_ifs=self._what_ifs,
            apart=self._apart,
            by_account=_rows(self._accounts.items()),
            by_limit=_rows(self._limits.items()),
            flips=tuple(reversed(self._flips)),
            others=tuple(reversed(self._others)),
            problems=tuple(self._problems),
            rejects=rejects,
        )


def _count(counts: dict[Kind, int], kind: Kind) -> None:
    counts[kind] = counts.get(kind, 0) + 1


def _rows(counted: Iterable[tuple[str, dict[Kind, int]]]) -> tuple[Row, ...]:
    """Return the rows with most flips in front."""
    rows = [Row(name=name, counts=counts) for name, counts in counted]
    return tuple(sorted(rows, key=lambda row: (-row.flips, -row.total, row.name)))
