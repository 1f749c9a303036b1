"""Which limit applied to an account at a moment, who stands behind it, and what it did on that trading day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from django.db.models import Q, QuerySet
from msgspec import Struct, field
from msgspec.structs import replace

from audit.acting import Acting
from emergency.models import EmergencyStop
from emergency.words import Trigger
from policies.models import Book
from reports.blocked import Blocked, blocked_by, let_through
from reports.days import Day, trading_day
from reports.lineage import Change, lineages
from reports.readings import OnOrder, Watched, on_order, watched
from reports.standing import BOUNDS, Held, Standing, standing_at
from riskcore.book import Account, PolicyType, Scope
from riskcore.limits import Bound, make_limit
from riskcore.ports import StopScope
from violations.models import Alert, Violation

PERMISSIONS = (
    *("policies.view_policy", "policies.view_capitalprofile", "policies.view_account", "policies.view_book"),
    *("policies.view_changerequest", "audit.view_orderdecision", "violations.view_violation", "violations.view_alert"),
    "emergency.view_emergencystop",
)

# So many of what there may be any number of are in an answer; a report has all of them.
MOST = 50


class Applied(Struct, frozen=True, kw_only=True):
    """A limit that an account had.

    `change` is the last that made it what it was, `set_by` the last that gave it its threshold; None: the audit log has
    none. `placed` is the change that put the account under the capital profile that it goes by, None where it goes by
    none. `blocked` and `let_through` count orders of that trading day.
    """

    held: Held
    change: Change | None
    set_by: Change | None
    placed: Change | None
    blocked: int = 0
    let_through: int = 0

    @property
    def counted(self) -> bool:
        """Return whether it could stop an order at that moment."""
        return self.held.in_force and not self.held.shadow and self.held.policy.type is not PolicyType.SOFT


class Answer(Struct, frozen=True, kw_only=True):
    """What there is to say. `standing` None: no book was published by then; `account` None: it has no such account.

    Attributes
    ----------
    limits
        Those on the metric that the account had, the tightest first of those that counted.
    day
        The trading day of the moment.
    books
        How many books were published on it: a limit may have been another at another hour of it.
    blocked, what_ifs, orders
        How many orders one of the limits blocked that day, how many questions (what-if) it answered with no, and the
        first of either.
    let_through, exceptions
        How many orders broke one and were approved by an override, and the first of them.
    violations, alerts, stops
        The first of those that began that day or went on, and how many there were.
    """

    account_id: str
    metric: str
    at: datetime
    standing: Standing | None
    account: Account | None
    day: Day | None = None
    books: int = 0
    limits: tuple[Applied, ...] = ()
    on_order: OnOrder | None = None
    watched: Watched | None = None
    blocked: int = 0
    what_ifs: int = 0
    orders: tuple[Blocked, ...] = ()
    let_through: int = 0
    exceptions: tuple[Blocked, ...] = ()
    violations: tuple[Violation, ...] = ()
    violations_in_all: int = 0
    alerts: tuple[Alert, ...] = ()
    alerts_in_all: int = 0
    stops: tuple[EmergencyStop, ...] = ()
    stops_in_all: int = 0

    @property
    def tightest(self) -> Applied | None:
        """Return the limit that bound the account: the tightest of those that could stop an order."""
        first = self.limits[0] if self.limits else None
        return first if first is not None and first.counted else None


def answer(acting: Acting, account_id: str, metric: str, at: datetime) -> Answer:
    """Return the answer for somebody, of a moment (timezone-aware).

    Raises NotAllowed where they may not see all that it is made of, NotTheirAccount where the account is not theirs,
    and ValueError where the book of then is not what was published.
    """
    for permission in PERMISSIONS:
        acting.demand(permission)
    acting.demand_account(account_id, f"account {account_id}")
    return find_answer(account_id, metric, at, acting.accounts)


def find_answer(account_id: str, metric: str, at: datetime, accounts: frozenset[str]) -> Answer:
    """Return the answer as whoever is for these accounts (none: all) may have it. Raises ValueError likewise."""
    found = find_limits(account_id, metric, at, accounts)
    if found.day is None:
        return found
    held, day = [each.held for each in found.limits], found.day
    ids = {each.policy.id for each in held}
    stopped = _tally(blocked_by(account_id, ids, day.since, day.until))
    exceptions = _tally(let_through(account_id, ids, day.since, day.until))
    violations, alerts = violations_of(account_id, ids, day), alerts_of(account_id, ids, day)
    stops = stops_of(account_id, held, day)
    return replace(
        found,
        limits=tuple(_with_counts(each, stopped, exceptions) for each in found.limits),
        blocked=stopped.orders,
        what_ifs=stopped.what_ifs,
        orders=tuple(stopped.first),
        let_through=exceptions.orders,
        exceptions=tuple(exceptions.first),
        violations=tuple(violations[:MOST]),
        violations_in_all=violations.count(),
        alerts=tuple(alerts[:MOST]),
        alerts_in_all=alerts.count(),
        stops=tuple(stops[:MOST]),
        stops_in_all=stops.count(),
    )


def find_limits(account_id: str, metric: str, at: datetime, accounts: frozenset[str]) -> Answer:
    """Return the part of an answer that is of the moment: nothing of what the limits did that day is looked up yet."""
    standing = standing_at(at, accounts)
    account = None if standing is None else standing.account(account_id)
    if standing is None or account is None:
        return Answer(account_id=account_id, metric=metric, at=at, standing=standing, account=account)
    held = limits_on(standing, account_id, metric)
    day = trading_day(at, standing.book.parameters)
    return Answer(
        account_id=account_id,
        metric=metric,
        at=at,
        standing=standing,
        account=account,
        day=day,
        books=Book.objects.filter(created_at__gte=day.since, created_at__lt=day.until).count(),
        limits=_applied(standing, account, held),
        on_order=on_order(account_id, {each.policy.id for each in held}, day.since, at),
        watched=watched(account_id, metric, at),
    )


# ----------------------------------------------------------------------------------------------- the limits
def limits_on(standing: Standing, account_id: str, metric: str) -> tuple[Held, ...]:
    """Return the limits on a metric that an account had: those that counted first, and of them the tightest."""
    found = [each for each in standing.limits(account_id) if each.policy.metric == metric]
    return tuple(sorted(found, key=_rank))


def _rank(held: Held) -> tuple[bool, bool, bool, int, Decimal]:
    bound = make_limit(held.policy).bound
    looseness = -held.threshold if bound is Bound.FLOOR else held.threshold
    soft = held.policy.type is PolicyType.SOFT
    return not held.in_force, held.shadow, soft, {Bound.CAP: 0, Bound.FLOOR: 1}.get(bound, 2), looseness


def _applied(standing: Standing, account: Account, limits: Sequence[Held]) -> tuple[Applied, ...]:
    version = standing.row.version
    policies = lineages("policy", [each.policy.id for each in limits if not each.profile], version)
    profiles = lineages("capitalprofile", {each.profile for each in limits} - {""}, version)
    of_account = lineages("account", [account.id], version).get(account.id)
    placed = None if of_account is None else of_account.last_of("profile_id")
    found = []
    for each in limits:
        lineage = profiles.get(each.profile) if each.profile else policies.get(each.policy.id)
        column = BOUNDS[each.policy.metric] if each.profile else "threshold"
        found.append(
            Applied(
                held=each,
                change=None if lineage is None else lineage.last,
                set_by=None if lineage is None else lineage.last_of(column),
                placed=placed if each.policy.scope is Scope.PROFILE else None,
            )
        )
    return tuple(found)


# ------------------------------------------------------------------------------------------- what they did
class _Tally(Struct):
    """How many orders and what-ifs there were, the first of them, and how many orders by policy."""

    orders: int = 0
    what_ifs: int = 0
    first: list[Blocked] = []
    by_policy: Counter[str] = field(default_factory=Counter)


def _tally(found: Iterable[Blocked]) -> _Tally:
    tally, last = _Tally(), None
    for each in found:
        if len(tally.first) < MOST:
            tally.first.append(each)
        if each.what_if:
            tally.what_ifs += each.decision_id != last
        else:
            tally.orders += each.decision_id != last
            tally.by_policy[each.breach.policy_id or ""] += 1
        last = each.decision_id  # one order's breaches come together
    return tally


def _with_counts(limit: Applied, stopped: _Tally, exceptions: _Tally) -> Applied:
    key = limit.held.policy.id
    return replace(limit, blocked=stopped.by_policy[key], let_through=exceptions.by_policy[key])


def violations_of(account_id: str, policies: Collection[str], day: Day) -> QuerySet[Violation]:
    """Return the violations of these policies by an account that began on a day or went on then, the oldest first."""
    rows = Violation.objects.filter(account_id=account_id, policy_id__in=policies, opened_at__lt=day.until)
    return rows.filter(Q(closed_at=None) | Q(closed_at__gte=day.since)).order_by("opened_at", "id")


def alerts_of(account_id: str, policies: Collection[str], day: Day) -> QuerySet[Alert]:
    """Return the alerts on them that were raised on a day or went on then, the oldest first."""
    rows = Alert.objects.filter(account_id=account_id, policy_id__in=policies, raised_at__lt=day.until)
    return rows.filter(Q(resolved_at=None) | Q(resolved_at__gte=day.since)).order_by("raised_at", "id")


def stops_of(account_id: str, held: Iterable[Held], day: Day) -> QuerySet[EmergencyStop]:
    """Return the stops of an account that one of these limits set off on a day, or the breaker that counts them."""
    limits = tuple(held)
    because = Q(trigger=Trigger.POLICY, triggered_by__in=[f"policy {each.policy.name}" for each in limits])
    if any(each.policy.type is PolicyType.HARD for each in limits):
        because |= Q(trigger=Trigger.BREAKER)
    covers = Q(scope=StopScope.ACCOUNT, scope_id=account_id) | Q(scope=StopScope.GLOBAL)
    rows = EmergencyStop.objects.filter(because, covers, engaged_at__gte=day.since, engaged_at__lt=day.until)
    return rows.order_by("engaged_at", "id")
