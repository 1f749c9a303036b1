"""Every limit that there was at a moment, and who stands behind each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from policies.hours import format_window
from policies.wording_numbers import moment_text
from reports.datasets.selecting import policy_meant
from reports.lineage import Change, Lineage, approval_in_words, approved_by, lineages
from reports.standing import BOUNDS, Held, Standing, standing_at, unit_of
from reports.table import Asked, Cell, Chart, ChartKind, Column, Dataset, Figure, Kind, Row, Summary
from riskcore.calendar import moment
from riskcore.decimals import tidy

# Limits whose changes are looked up together.
_TOGETHER = 200

_ABOUT_MOMENT = (
    "A book is gone by from the moment at which it was published, or some milliseconds later; decisions name their own."
)


class LimitsAsOf(Dataset):
    """The limits of the book of a moment."""

    name = "limits_as_of"
    title = "Limits as of a moment"
    meaning = "Every limit that there was at a moment, as it was then, and who asked for it, approved and published it."
    permissions = (
        *("policies.view_policy", "policies.view_capitalprofile", "policies.view_book"),
        "policies.view_changerequest",
    )
    filters = frozenset({"at", "account_id", "symbol", "policy"})
    needed = frozenset({"at"})
    columns: ClassVar = (
        Column(name="policy", label="Limit", width=26),
        Column(name="in_words", label="In words", width=60),
        Column(name="type", label="Type", width=10),
        Column(name="mode", label="Mode", width=10),
        Column(name="in_force", label="In force", kind=Kind.FLAG, width=9),
        Column(name="metric", label="Metric", width=18),
        Column(name="operator", label="Condition", width=9),
        Column(name="threshold", label="Threshold", kind=Kind.NUMBER, width=14),
        Column(name="threshold_in_effect", label="In effect", kind=Kind.NUMBER, width=14),
        Column(name="unit", label="Unit", width=10),
        Column(name="scope", label="Scope", width=10),
        Column(name="applies_to", label="Applies to", width=20),
        Column(name="rollout_percent", label="Rolled out (%)", kind=Kind.NUMBER, width=10),
        Column(name="hours", label="Hours", width=24),
        Column(name="effective_from", label="From", kind=Kind.MOMENT, width=20),
        Column(name="effective_until", label="Until", kind=Kind.MOMENT, width=20),
        Column(name="on_breach", label="On a breach", width=11),
        Column(name="owner", label="Owner", width=12),
        Column(name="regulatory_tags", label="Rules it serves", width=16),
        Column(name="changed_at", label="As it was since", kind=Kind.MOMENT, width=20),
        Column(name="changed_in_book", label="Since book", kind=Kind.NUMBER, width=8),
        Column(name="request", label="Request", kind=Kind.NUMBER, width=8),
        Column(name="author", label="Asked for by", width=14),
        Column(name="reason", label="Why", width=40),
        Column(name="approved_by", label="Approved by", width=14),
        Column(name="published_by", label="Published by", width=14),
        Column(name="approval", label="Approval", width=40),
        Column(name="threshold_since", label="Threshold since", kind=Kind.MOMENT, width=20),
        Column(name="threshold_request", label="Threshold by request", kind=Kind.NUMBER, width=10),
        Column(name="threshold_approved_by", label="Threshold approved by", width=14),
        Column(name="policy_id", label="Id", width=36),
        Column(name="policy_version", label="Version", kind=Kind.NUMBER, width=8),
        Column(name="book_version", label="Book", kind=Kind.NUMBER, width=8),
        Column(name="book_live_since", label="Book live since", kind=Kind.MOMENT, width=20),
        Column(name="book_sha256", label="Hash of the book", width=64),
    )

    def count(self, asked: Asked, accounts: frozenset[str]) -> int:
        """Return how many limits there were."""
        return len(_found(asked, accounts)[1])

    def rows(self, asked: Asked, accounts: frozenset[str]) -> Iterator[Row]:
        """Yield the limits, those first that are reported first, and then the bounds of capital profiles."""
        standing, held = _found(asked, accounts)
        if standing is not None:
            for begin in range(0, len(held), _TOGETHER):
                yield from _rows(standing, held[begin : begin + _TOGETHER])

    def summary(self, asked: Asked, accounts: frozenset[str]) -> Summary:
        """Return how many limits there were of each type, and what their book was."""
        standing, held = _found(asked, accounts)
        if standing is None:
            return Summary(notes=("No book was published by then: nothing could be approved.",))
        types = Counter(each.policy.type.value for each in held).most_common()
        in_force = sum(each.in_force and not each.shadow for each in held)
        return Summary(
            figures=(
                Figure("Limits in the book", f"{len(held):,}"),
                Figure("By type", ", ".join(f"{count:,} {name}" for name, count in types)),
                Figure("In force and enforced", f"{in_force:,}"),
                Figure("Book", f"{standing.row.version:,}"),
                Figure("Live since", moment_text(standing.row.created_at)),
                Figure("Published by", standing.row.actor),
            ),
            charts=(_by_metric(held),) if held else (),
            notes=tuple(_notes(standing, asked)),
        )

    def books(self, asked: Asked, accounts: frozenset[str]) -> tuple[int, int] | None:
        """Return the version of the book of that moment."""
        standing = _found(asked, accounts)[0]
        return None if standing is None else (standing.row.version, standing.row.version)


def _found(asked: Asked, accounts: frozenset[str]) -> tuple[Standing | None, list[Held]]:
    assert asked.at is not None  # it is needed
    standing = standing_at(asked.at, accounts)
    if standing is None:
        return None, []
    limits = standing.limits(asked.account_id, asked.symbol.upper())
    if not asked.policy:
        return standing, list(limits)
    meant = policy_meant(asked.policy)
    return standing, [each for each in limits if each.policy.id in meant.ids or _is_called(each, asked.policy)]


def _is_called(held: Held, name: str) -> bool:
    """Return whether a limit had a name at that moment; the bound of a profile has an id that is none of a policy."""
    return name.casefold() in (held.policy.name.casefold(), held.policy.id.casefold())


def _notes(standing: Standing, asked: Asked) -> Iterator[str]:
    yield _ABOUT_MOMENT
    account = standing.account(asked.account_id)
    if asked.account_id and account is None:
        yield f"The book has no account {asked.account_id}: every order of it is blocked."
    if account is not None:
        yield f"{account.id} has the capital profile {account.profile}."
        if not account.enabled:
            yield f"{account.id} is disabled: every order of it is blocked, whatever its limits are."


def _by_metric(held: Iterable[Held]) -> Chart:
    counts = Counter(each.policy.metric for each in held).most_common()
    return Chart(
        title="Limits by metric",
        kind=ChartKind.BARS,
        labels=tuple(metric for metric, _ in counts),
        values=tuple(float(count) for _, count in counts),
        unit="limits",
    )


# ------------------------------------------------------------------------------------------------- rows
def _rows(standing: Standing, limits: Sequence[Held]) -> Iterator[Row]:
    version = standing.row.version
    of_policies = lineages("policy", [each.policy.id for each in limits if not each.profile], version)
    of_profiles = lineages("capitalprofile", {each.profile for each in limits} - {""}, version)
    for each in limits:
        lineage = of_profiles.get(each.profile) if each.profile else of_policies.get(each.policy.id)
        yield (*_rule(each), *_descriptive(each, lineage), *_behind(each, lineage), *_identity(standing, each))


def _rule(held: Held) -> Row:
    policy = held.policy
    return (
        policy.name,
        held.in_words,
        policy.type.value,
        "shadow" if held.shadow else "enforce",
        held.in_force,
        policy.metric,
        policy.operator.value,
        tidy(policy.threshold),
        tidy(held.threshold),
        unit_of(policy.metric),
        policy.scope.value,
        ", ".join(policy.scope_ids),
        policy.rollout_percent,
        "; ".join(map(format_window, policy.active)),
        moment(policy.effective_from_us) if policy.effective_from_us else None,
        moment(policy.effective_until_us) if policy.effective_until_us else None,
        policy.on_breach.value,
    )


def _descriptive(held: Held, lineage: Lineage | None) -> Row:
    """Return what officers say of a limit that no check needs, so that the book is without it."""
    if lineage is None or held.profile:
        return (None, None)
    said = lineage.last.after
    return said.get("owner") or None, ", ".join(said.get("regulatory_tags") or ()) or None


def _behind(held: Held, lineage: Lineage | None) -> Row:
    if lineage is None:
        return (None,) * 7 + ("not in the audit log",) + (None,) * 3
    last = lineage.last
    of_threshold = lineage.last_of(*((BOUNDS[held.policy.metric],) if held.profile else ("threshold",)))
    return (
        last.at,
        last.book,
        *_asked_for(last),
        last.reason,
        approved_by(last) or None,
        last.actor,
        approval_in_words(last),
        of_threshold.at,
        None if of_threshold.request is None else of_threshold.request.number,
        approved_by(of_threshold) or None,
    )


def _asked_for(change: Change) -> tuple[Cell, Cell]:
    return (None, None) if change.request is None else (change.request.number, change.request.author)


def _identity(standing: Standing, held: Held) -> Row:
    row = standing.row
    return held.policy.id, None if held.profile else held.policy.version, row.version, row.created_at, row.sha256
