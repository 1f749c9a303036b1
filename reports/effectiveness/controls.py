"""Every control over a period, with all that is known of it and a word for what that comes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from msgspec import UNSET, Struct

from policies.models import Policy
from policies.wording import sentence
from reports.effectiveness.arming import Armed, armed_limits
from reports.effectiveness.counting import NEAR, Asked, Broken, Span, asked_of_limits, broken_limits, refusals
from reports.effectiveness.gates import STARVING, Gate, gates
from reports.effectiveness.watching import Found, found_violations, raised_alerts, stops_by_limits
from reports.standing import Standing, standing_at
from riskcore import book as core
from riskcore.limits import profile_limits
from riskcore.tail import MEASURES


class Verdict(StrEnum):
    """What a control did. STARVED: it had nothing to go by, and did nothing else."""

    FIRED = "fired"
    NEAR_MISS = "near miss"
    QUIET = "quiet"
    STARVED = "starved"
    NOT_ARMED = "not armed"


class Control(Struct, frozen=True, kw_only=True):
    """One control over a period.

    Attributes
    ----------
    kind
        hard, soft or emergency of a limit, "profile" of a capital profile's bound, "gate" of what is no limit.
    armed, armed_since
        Whether it was armed at the end of the period, and since when without a break, where that is known.
    share, shadow_share
        The part of the period (0..1) in which it was armed, or only recorded; None: not recorded.
    orders
        How many orders were held against it, None where nobody counts that.
    stopped, warned, near
        How many of them it refused, warned of (or was overridden), and nearly refused.
    highest
        The most that was used of it, a fraction.
    without_value
        How often its figure had no value, which breaks it.
    """

    name: str
    kind: str
    does: str
    verdict: Verdict
    armed: bool
    armed_since: datetime | None = None
    share: float | None = None
    shadow_share: float | None = None
    orders: int | None = None
    stopped: int = 0
    warned: int = 0
    near: int = 0
    highest: Decimal | None = None
    violations: int = 0
    observations: int = 0
    alerts: int = 0
    stops: int = 0
    without_value: int = 0
    last_at: datetime | None = None
    last_drill: datetime | None = None
    note: str = ""
    tags: tuple[str, ...] = ()
    policy_id: str = ""


class Evidence(Struct, frozen=True, kw_only=True):
    """What was counted of a period, by the ids of limits; `stops` by their names. `starving`: orders that never came
    to any limit for want of a state or a price."""

    standing: Standing | None
    asked: Mapping[str, Asked]
    broken: Mapping[str, Broken]
    found: Mapping[str, Found]
    alerts: Mapping[str, int]
    stops: Mapping[str, int]
    starving: int


def controls(span: Span) -> Iterator[Control]:
    """Yield every control: limits, the bounds of capital profiles, and gates.

    It reads every decision of the period once for what limits were used, and those that broke one a second time.
    Raises ValueError where the book at the end of the period is not what was published.
    """
    standing = standing_at(span.until, span.accounts)
    refused = refusals(span)
    evidence = Evidence(
        standing=standing,
        asked=asked_of_limits(span),
        broken=broken_limits(span),
        found=found_violations(span),
        alerts=raised_alerts(span),
        stops=stops_by_limits(span),
        starving=sum(refused[reason].orders for reason in STARVING if reason in refused),
    )
    yield from _limits(span, evidence)
    if standing is not None:
        yield from _bounds(evidence, standing)
    yield from map(_gate, gates(span, standing, refused))


def named_controls(span: Span) -> Iterator[tuple[str, str]]:
    """Yield the id and the name of every control, in their order, without what it did: a gate has no id."""
    standing = standing_at(span.until, span.accounts)
    yield from ((each.policy_id, str(each.last.get("name", ""))) for each in _armed(span))
    for profile in () if standing is None else standing.book.profiles:
        yield from ((limit.policy.id, limit.policy.name) for limit in profile_limits(profile))
    yield from (("", each.name) for each in gates(span, standing, {}))


# ----------------------------------------------------------------------------------------------- limits
def _armed(span: Span) -> Iterator[Armed]:
    """Yield the limits that whoever asks may see: not one that names others' accounts alone."""
    for each in armed_limits(span.since, span.until):
        named = set(each.last.get("scope_ids") or ()) if each.last.get("scope") == core.Scope.ACCOUNT else set()
        if not span.accounts or not named or named & span.accounts:
            yield each


def _limits(span: Span, evidence: Evidence) -> Iterator[Control]:
    limits = list(_armed(span))
    book = () if evidence.standing is None else evidence.standing.book.policies
    said = {policy.id: sentence(policy) for policy in book}
    said |= _sentences([each for each in limits if each.policy_id not in said])
    for each in limits:
        yield _limit(each, said.get(each.policy_id, ""), evidence)


def _sentences(limits: list[Armed]) -> dict[str, str]:
    """Return limits that are in no book any more in words, as they were last."""
    versions = {each.policy_id: each.last.get("version") for each in limits}
    rows = Policy.history.filter(id__in=versions)
    return {str(row.id): sentence(row.instance) for row in rows if versions[str(row.id)] == row.version}


def _limit(armed: Armed, said: str, evidence: Evidence) -> Control:
    counted = _counted(armed.policy_id, armed.names, evidence)
    last = armed.last
    starved = _starved_of(str(last.get("metric", "")), counted, evidence)
    share = armed.share + armed.shadow_share
    return Control(
        name=str(last.get("name", "")),
        kind=str(last.get("type", "")),
        does=said,
        verdict=_verdict(counted, armed=share > 0, starved=bool(starved)),
        armed=armed.at_end,
        armed_since=armed.since,
        share=armed.share,
        shadow_share=armed.shadow_share,
        tags=tuple(last.get("regulatory_tags") or ()),
        policy_id=armed.policy_id,
        note="; ".join(filter(None, (_how_armed(armed), starved))),
        **counted,
    )


def _bounds(evidence: Evidence, standing: Standing) -> Iterator[Control]:
    under = Counter(account.profile for account in standing.book.accounts)
    for profile in standing.book.profiles:
        for limit in profile_limits(profile):
            policy, accounts = limit.policy, under[profile.name]
            counted = _counted(policy.id, frozenset(), evidence)
            starved = _starved_of(policy.metric, counted, evidence)
            yield Control(
                name=policy.name,
                kind="profile",
                does=sentence(policy).replace("of every account", f"of every account under {profile.name}"),
                verdict=_verdict(counted, armed=accounts > 0 or counted["orders"] > 0, starved=bool(starved)),
                armed=accounts > 0,
                policy_id=policy.id,
                note="; ".join(filter(None, (f"{accounts:,} accounts are under it", starved))),
                **counted,
            )


def _counted(policy_id: str, names: frozenset[str], evidence: Evidence) -> dict[str, Any]:
    """Return what was counted of a limit, by the names of `Control`."""
    asked = evidence.asked.get(policy_id, Asked())
    broken = evidence.broken.get(policy_id, Broken())
    found = evidence.found.get(policy_id)
    used = [each for each in (asked.highest, None if found is None else found.highest) if each is not None]
    fired_at = [each for each in (broken.last_at, None if found is None else found.last_at) if each is not None]
    return {
        "orders": asked.orders,
        "stopped": broken.stopped,
        "warned": broken.warned,
        "near": asked.near,
        "highest": max(used, default=None),
        "violations": 0 if found is None else found.episodes,
        "observations": 0 if found is None else found.observations,
        "alerts": evidence.alerts.get(policy_id, 0),
        "stops": sum(evidence.stops.get(name, 0) for name in names),
        "without_value": broken.unknown + (0 if found is None else found.unknown),
        "last_at": max(fired_at, default=None),
    }


def _starved_of(metric: str, counted: Mapping[str, Any], evidence: Evidence) -> str:
    """Return what a limit had not got that it needs, empty where it had all."""
    if counted["without_value"]:
        return f"{counted['without_value']:,} times its figure had no value"
    book = None if evidence.standing is None else evidence.standing.book
    if metric in MEASURES and (book is None or book.returns is UNSET):
        return "there is no history of prices to work it out from"
    if not counted["orders"] and evidence.starving:
        return f"no order came as far; {evidence.starving:,} were refused before, for want of a state or a price"
    return ""


def _verdict(counted: Mapping[str, Any], *, armed: bool, starved: bool) -> Verdict:
    if not armed:
        return Verdict.NOT_ARMED
    fired = counted["stopped"] + counted["warned"] + counted["violations"] + counted["stops"]
    if fired > counted["without_value"]:
        return Verdict.FIRED
    if starved:
        return Verdict.STARVED
    return Verdict.NEAR_MISS if counted["near"] else Verdict.QUIET


def _how_armed(armed: Armed) -> str:
    last = armed.last
    if not last.get("enabled"):
        return "switched off"
    rollout = last.get("rollout_percent")
    said = (
        "only recorded, in shadow" if last.get("mode") == core.Mode.SHADOW else "",
        f"rolled out to {rollout} % of the accounts" if isinstance(rollout, int) and rollout < 100 else "",
        "in its hours only" if last.get("active_windows") else "",
    )
    return ", ".join(filter(None, said))


# ------------------------------------------------------------------------------------------------ gates
def _gate(gate: Gate) -> Control:
    fired = gate.orders + gate.stops
    quiet = Verdict.QUIET if gate.armed else Verdict.NOT_ARMED
    return Control(
        name=gate.name,
        kind="gate",
        does=gate.does[:1].upper() + gate.does[1:],
        verdict=Verdict.FIRED if fired else quiet,
        armed=gate.armed,
        stopped=gate.orders,
        stops=gate.stops,
        last_at=gate.last_at,
        last_drill=gate.last_drill,
        note="; ".join(filter(None, (gate.why, f"last drill: {gate.drill}" if gate.drill else ""))),
    )


__all__ = ["NEAR", "Control", "Verdict", "controls", "named_controls"]
