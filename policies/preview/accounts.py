"""The accounts as they stand, under two books: what would be broken at once, and how much of what changes is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from policies.preview.impact import MOST_ACCOUNTS, MOST_BREACHES, Accounts, AccountUse, Breached, LimitUse, Use
from policies.preview.reach import Reach
from riskcore.book import Book, Policy, PolicyType
from riskcore.compiled import CompiledBook
from riskcore.decimals import INFINITY, ZERO, shown_ratio, tidy
from riskcore.firm import FIRM
from riskcore.limits import Finding, Limit, describe
from riskcore.picture import Picture, Reading, is_on, readings_of, take_picture
from riskcore.ports import AccountView
from riskcore.tail import MEASURES
from riskcore.types import Reservation

_URGENT = (PolicyType.EMERGENCY, PolicyType.HARD, PolicyType.SOFT)

# A limit by what it is known by under both books, and which symbol and exchange it is held against.
Place = tuple[str, str, str]


class Pair(Struct, frozen=True):
    """Two books with the limits that are looked at: all, or those alone that differ."""

    before: CompiledBook
    after: CompiledBook


def pair_of_changes(in_force: CompiledBook, proposed: CompiledBook, reach: Reach) -> Pair:
    """Return the books with no other limits than those that differ."""
    wanted = set(reach.policies)
    if in_force.book.returns != proposed.book.returns:
        both = (*in_force.book.policies, *proposed.book.policies)
        wanted |= {policy.id for policy in both if policy.metric in MEASURES}

    def narrowed(book: Book) -> CompiledBook:
        policies = tuple(policy for policy in book.policies if policy.id in wanted)
        profiles = tuple(profile for profile in book.profiles if profile.name in reach.profiles)
        return CompiledBook(replace(book, policies=policies, profiles=profiles))

    return Pair(narrowed(in_force.book), narrowed(proposed.book))


class _Group:
    """One limit, on all the accounts that it is on."""

    def __init__(self) -> None:
        self.name = self.metric = ""
        self.accounts = self.broken_before = self.broken_after = 0
        self._uses: list[AccountUse] = []

    def add(self, uses: list[AccountUse], reading: Reading) -> None:
        """Add an account, or the firm, with its use of the limit or one a symbol: the most of them is kept."""
        policy = reading.limit.policy
        self.name, self.metric = policy.name, policy.metric
        self._uses.append(max(uses, key=_most))
        if uses[0].account_id == FIRM:
            return
        self.accounts += 1
        self.broken_before += any(use.before is not None and not use.before.holds for use in uses)
        self.broken_after += any(use.after is not None and not use.after.holds for use in uses)
        if len(self._uses) > 4 * MOST_ACCOUNTS:
            self._uses = self._those_with_most()

    def _those_with_most(self) -> list[AccountUse]:
        return sorted(self._uses, key=lambda use: (use.account_id != FIRM, -_most(use), use.account_id))[:MOST_ACCOUNTS]

    def limit_use(self) -> LimitUse:
        return LimitUse(
            name=self.name,
            metric=self.metric,
            accounts=self.accounts,
            broken_before=self.broken_before,
            broken_after=self.broken_after,
            uses=tuple(self._those_with_most()),
        )


class Look:
    """Looks at accounts one after the other, and remembers what matters.

    Parameters
    ----------
    in_force, proposed
        The books.
    """

    def __init__(self, in_force: CompiledBook, proposed: CompiledBook) -> None:
        self._reach = Reach(in_force, proposed)
        self._all = Pair(in_force, proposed)
        self.changes = pair_of_changes(in_force, proposed, self._reach)
        old, new = in_force.book, proposed.book
        self._same_values = old.parameters == new.parameters and old.returns == new.returns
        self._looked_at = self._unknown = self._healed = self._broken = self._stopped = self._tripping = 0
        self._breaches: list[Breached] = []
        self._groups: dict[str, _Group] = {}

    def concerned(self) -> tuple[str, ...]:
        """Return the accounts that may stand otherwise: those that a limit is on which differs, or may be."""
        reach, found = self._reach, dict.fromkeys(sorted(self._reach.accounts))
        for book in (self.changes.before, self.changes.after):
            for account in book.accounts.values():
                if account.profile in reach.profiles or any(is_on(limit.policy, account) for limit in book.limits):
                    found[account.id] = None
        return tuple(found)

    def add(self, view: AccountView, expired: tuple[Reservation, ...], now_us: int) -> None:
        """Look at an account by its records. Raises ValueError where they cannot be worked with."""
        pair = self._all if view.account_id in self._reach.accounts else self.changes
        pictures = list(self._pictures(view, pair, expired, now_us))
        self._looked_at += 1
        if any(picture is not None and picture.whole is None for picture in pictures):
            self._unknown += 1
            return
        before, after = ({} if picture is None else by_place(readings_of(picture)) for picture in pictures)
        self.add_readings(view.account_id, before, after)

    def _pictures(
        self, view: AccountView, pair: Pair, expired: tuple[Reservation, ...], now_us: int
    ) -> Iterator[Picture | None]:
        """Yield the account under each book, None where that does not have it."""
        picture = None
        for book in (pair.before, pair.after):
            account = book.accounts.get(view.account_id)
            if account is None:
                yield None
            elif picture is not None and self._same_values:
                yield replace(picture, book=book.at(now_us), account=account)
            else:
                picture = take_picture(view, book, now_us, expired)
                yield picture

    def leave_out(self) -> None:
        """Count an account whose records cannot be worked with."""
        self._looked_at += 1
        self._unknown += 1

    def add_readings(self, account_id: str, before: dict[Place, Reading], after: dict[Place, Reading]) -> None:
        """Take in what was found of an account, or of the firm, under both books."""
        uses: dict[str, list[AccountUse]] = {}
        last: dict[str, Reading] = {}
        types: set[PolicyType] = set()
        for place in dict.fromkeys((*after, *before)):
            use = _account_use(account_id, place, before.get(place), after.get(place))
            if use.before == use.after:
                continue
            name = place[0]
            last[name] = after.get(place) or before[place]
            uses.setdefault(name, []).append(use)
            self._healed += use.heals
            if use.breaks:
                types.add(last[name].limit.policy.type)
                self._add_breach(use, last[name].limit.policy)
        for name, of_limit in uses.items():
            self._groups.setdefault(name, _Group()).add(of_limit, last[name])
        if PolicyType.EMERGENCY in types:
            self._stopped += 1
        elif PolicyType.HARD in types and account_id != FIRM:
            self._tripping += 1

    def _add_breach(self, use: AccountUse, policy: Policy) -> None:
        self._broken += 1
        if policy.type is PolicyType.EMERGENCY or use.account_id == FIRM or len(self._breaches) < MOST_BREACHES:
            self._breaches.append(Breached(name=policy.name, type=policy.type, use=use))

    def accounts(self) -> Accounts:
        """Return what was found."""
        ordered = sorted(self._breaches, key=lambda one: (_URGENT.index(one.type), one.use.account_id, one.name))
        groups = (group.limit_use() for group in self._groups.values())
        return Accounts(
            looked_at=self._looked_at,
            unknown=self._unknown,
            broken=self._broken,
            stopped=self._stopped,
            tripping=self._tripping,
            breaches=tuple(ordered[:MOST_BREACHES]),
            healed=self._healed,
            limits=tuple(sorted(groups, key=lambda one: (-one.broken_after, one.name))),
        )


def by_place(readings: Iterable[Reading]) -> dict[Place, Reading]:
    """Return readings in which something was found, by where."""
    return {_place(one): one for one in readings if one.finding is not None}


def _place(reading: Reading) -> Place:
    return _known_by(reading.limit), reading.symbol, reading.exchange


def _known_by(limit: Limit) -> str:
    """Return what a limit is known by under both books: a profile's bound by its metric, whichever the profile."""
    kind, _, rest = limit.policy.id.partition(":")
    return f"{kind}:{rest.rpartition(':')[2]}" if rest else limit.policy.id


def _account_use(account_id: str, place: Place, before: Reading | None, after: Reading | None) -> AccountUse:
    finding = None if after is None else after.finding
    return AccountUse(
        account_id=account_id,
        symbol=place[1],
        exchange=place[2],
        before=None if before is None else _use(before),
        after=None if after is None else _use(after),
        message="" if finding is None or finding.holds else describe(finding),
    )


def _use(reading: Reading) -> Use:
    finding = reading.finding
    assert finding is not None  # nothing else is kept
    policy = reading.limit.policy
    return Use(
        type=policy.type.value,
        operator=policy.operator.value,
        threshold=tidy(policy.threshold),
        value=None if finding.value is None else finding.limit.metric.show(finding.value),
        utilisation=_shown(finding),
        holds=finding.holds,
    )


def _shown(finding: Finding) -> Decimal | None:
    return None if finding.utilisation is None else shown_ratio(finding.utilisation)


def _most(use: AccountUse) -> Decimal:
    """Return the utilisation under the book under which it is more; beyond measure is the most."""
    found = [INFINITY if one.utilisation is None else one.utilisation for one in (use.before, use.after) if one]
    return max(found, default=ZERO)
