"""How the evidence for a requirement is found: each probe says whether a control is armed, and whether it has acted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from reports.assessment.facts import Facts, last_refusal
from riskcore.reasons import Reason


class Status(StrEnum):
    """What the evidence comes to. OUTSIDE: nothing here can show it, and the firm does it elsewhere."""

    EVIDENCED = "evidenced"
    ARMED = "armed, not fired"
    NOT_ARMED = "not armed"
    OUTSIDE = "outside this system"


class Found(Struct, frozen=True):
    """What a probe found. `acted_at`: when the control last did what it is there for, in the period or at all."""

    armed: bool
    acted_at: datetime | None
    said: str


Probe: TypeAlias = Callable[[Facts], Found]


def status_of(found: tuple[Found, ...]) -> Status:
    """Return what some findings come to together: without the first, which is the control itself, there is a gap.

    The others are further evidence of the same thing, and do not fill that gap.
    """
    if not found:
        return Status.OUTSIDE
    if not found[0].armed:
        return Status.NOT_ARMED
    return Status.EVIDENCED if any(each.acted_at is not None for each in found) else Status.ARMED


def limits_on(*metrics: str) -> Probe:
    """Return the probe of limits on some metrics, those of capital profiles among them."""

    def probe(facts: Facts) -> Found:
        there = {name: facts.metrics.in_force[name] for name in metrics if name in facts.metrics.in_force}
        broken = [facts.metrics.broken_at[name] for name in metrics if name in facts.metrics.broken_at]
        count = sum(there.values())
        what = ", ".join(f"{number:,} on {name}" for name, number in there.items()) or f"none on {', '.join(metrics)}"
        return Found(count > 0, max(broken, default=None) if count else None, f"limits in force: {what}")

    return probe


def refused_for(words: str, *reasons: Reason) -> Probe:
    """Return the probe of a gate that is part of every check; `words` name the orders that it refuses."""

    def probe(facts: Facts) -> Found:
        count = sum(facts.refused[reason].orders for reason in reasons if reason in facts.refused)
        return Found(facts.standing is not None, last_refusal(facts, reasons), f"{words} refused: {count:,}")

    return probe


def gate(name: str) -> Probe:
    """Return the probe of a gate that there is by this name (`reports.effectiveness.gates`)."""

    def probe(facts: Facts) -> Found:
        found = facts.gates[name]
        said = f"{name.lower()}: {found.why}, {found.orders:,} orders refused, {found.stops:,} stops"
        return Found(found.armed, found.last_at, said)

    return probe


def drill(facts: Facts) -> Found:
    """Probe the last trial of the emergency stop."""
    found = facts.gates["Emergency stop"]
    return Found(found.armed, found.last_drill, f"last drill: {found.drill}" if found.drill else "never drilled")


def books(facts: Facts) -> Found:
    """Probe that what is in force is published, numbered and kept."""
    if facts.standing is None:
        return Found(False, None, "no book was published")
    row = facts.standing.row
    said = f"book {row.version} in force, of {facts.changes.books:,} that are kept, with {_limits(facts):,} limits"
    return Found(True, row.created_at, said)


def _limits(facts: Facts) -> int:
    return 0 if facts.standing is None else len(facts.standing.compiled.limits)


def four_eyes(facts: Facts) -> Found:
    """Probe how limits were changed."""
    made = facts.changes
    said = (
        f"change requests published: {made.requests:,}, approved by a second person: {made.seconded:,}; "
        f"changes of limits by the configuration, without a request: {made.unasked:,}"
    )
    return Found(True, made.last_at, said)


def overrides(facts: Facts) -> Found:
    """Probe how orders that were blocked may go all the same: overrides that somebody else approves."""
    made = facts.changes
    return Found(True, made.override_at, f"overrides ever granted: {made.overrides:,}, each for a time and a budget")


def access(facts: Facts) -> Found:
    """Probe who may come in."""
    people = facts.people
    said = f"people who may sign in: {people.active:,}, API keys that are good: {people.keys:,}"
    return Found(people.active + people.keys > 0, people.sign_in_at, said)


def rights(facts: Facts) -> Found:
    """Probe the changes of what people and keys may."""
    return Found(True, facts.people.rights_at, "changes of people, groups and keys are in the audit log")


def lock_outs(facts: Facts) -> Found:
    """Probe that whoever guesses is locked out."""
    return Found(True, facts.people.locked_at, "whoever guesses passwords or codes is locked out")


def alerts(facts: Facts) -> Found:
    """Probe that people were told."""
    seen = facts.watch
    said = f"alerts raised: {seen.alerts:,}, sent on to other systems: {seen.delivered:,}"
    return Found(facts.standing is not None, seen.alert_at, said)


def monitor(facts: Facts) -> Found:
    """Probe the look at every account each second."""
    seen = facts.watch
    said = f"violations found: {seen.violations:,}; faults of the system's own, such as silence: {seen.faults:,}"
    return Found(facts.standing is not None, seen.violation_at, said)


def review(facts: Facts) -> Found:
    """Probe that somebody has looked at how well controls work."""
    there = facts.reviewed_at is not None
    said = "a report on the effectiveness of controls was made" if there else "no report on effectiveness was ever made"
    return Found(there, facts.reviewed_at, said)
