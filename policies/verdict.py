"""Whether a difference of two books makes limits tighter, and why: the words that its rules answer with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Any

from msgspec import Struct

from policies.compare import BookDifference
from riskcore.book import Book, Operator, Policy, Scope
from riskcore.metrics import METRICS


class Direction(StrEnum):
    """Which way a difference goes. What cannot be told counts as looser."""

    TIGHTENS = "tightens"
    NEUTRAL = "neutral"
    UNCLEAR = "unclear"
    LOOSENS = "loosens"

    @property
    def counts_as_looser(self) -> bool:
        """Whether it may let an order through that was blocked before."""
        return self in (Direction.UNCLEAR, Direction.LOOSENS)


class Verdict(Struct, frozen=True):
    """A direction, and a short sentence for people that says why."""

    direction: Direction
    why: str


class Index:
    """A book by what rules look up in it.

    Profiles by name, limits by id, and those on the accounts of a profile. `moves` has the verdicts on accounts that
    change from one profile to another, which are the same for all accounts.
    """

    def __init__(self, book: Book) -> None:
        self.moves: dict[tuple[str, str], Verdict] = {}
        self.profiles = {profile.name: profile for profile in book.profiles}
        self.limits = {policy.id: policy for policy in book.policies}
        self.of_profile: dict[str, list[Policy]] = {}
        for policy in book.policies:
            for name in policy.scope_ids if policy.scope is Scope.PROFILE else ():
                self.of_profile.setdefault(name, []).append(policy)


class Sides(Struct, frozen=True):
    """A difference, and the two books that it is of, with their indexes; `at_us` is when one follows the other."""

    difference: BookDifference
    was: Book
    now: Book
    at_us: int
    before_index: Index
    after_index: Index

    @property
    def before(self) -> Any:
        return self.difference.before

    @property
    def after(self) -> Any:
        return self.difference.after

    @property
    def old(self) -> Any:
        return self.difference.old

    @property
    def new(self) -> Any:
        return self.difference.new


Rule = Callable[[Sides], Verdict]

_ORDER = tuple(Direction)


def tightens(why: str) -> Verdict:
    return Verdict(Direction.TIGHTENS, why)


def neutral(why: str) -> Verdict:
    return Verdict(Direction.NEUTRAL, why)


def unclear(why: str) -> Verdict:
    return Verdict(Direction.UNCLEAR, why)


def loosens(why: str) -> Verdict:
    return Verdict(Direction.LOOSENS, why)


def always(verdict: Verdict) -> Rule:
    """Return the rule that answers this whatever the values are."""
    return lambda _sides: verdict


def loosest_of(directions: Iterable[Direction]) -> Direction:
    """Return the loosest of some directions; NEUTRAL where there is none."""
    found = set(directions)
    return max(found, key=_ORDER.index) if found else Direction.NEUTRAL


def less_is_tighter(before: Decimal | int, after: Decimal | int, what: str) -> Verdict:
    """Judge a ceiling: `what` names it in the sentence."""
    return tightens(f"a lower {what}") if after < before else loosens(f"a higher {what}")


def more_is_tighter(before: Decimal | int, after: Decimal | int, what: str) -> Verdict:
    """Judge what is the tighter the more it is."""
    return tightens(f"a higher {what}") if after > before else loosens(f"a lower {what}")


def judge_list(before: Collection[str], after: Collection[str], one: str, several: str) -> Verdict:
    """Judge a list of what is allowed, which allows everything where it is empty."""
    if not after:
        return loosens(f"every {one} is allowed")
    if not before:
        return tightens(f"only {listed(after)} {'is' if len(after) == 1 else 'are'} allowed")
    come, gone = sorted(set(after) - set(before)), sorted(set(before) - set(after))
    if come:
        return loosens(f"{one if len(come) == 1 else several} {listed(come)} allowed as well")
    return tightens(f"{one if len(gone) == 1 else several} {listed(gone)} no longer allowed")


def listed(names: Collection[str]) -> str:
    """Return names as a sentence has them, no more than four."""
    shown = [str(name) for name in names]
    if len(shown) > 4:
        return f"{', '.join(shown[:3])} and {len(shown) - 3} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def called(metric: str) -> str:
    """Return a metric as it is called within a sentence."""
    title = METRICS[metric].title if metric in METRICS else metric
    return title if title[:1].isdigit() else title[:1].lower() + title[1:]


def bounds_from(operator: Operator) -> str:
    """Return from where a condition bounds its metric: "above" (a ceiling), "below" (a floor) or ""."""
    if operator in (Operator.AT_MOST, Operator.BELOW):
        return "above"
    return "below" if operator in (Operator.AT_LEAST, Operator.ABOVE) else ""


def held_the_other_way(book: Book, metrics: Collection[str], usual: str) -> str:
    """Return the name of a limit on one of these metrics that does not bound it from its usual side; "" for none.

    What makes such a metric worse makes that limit easier to keep.
    """
    for policy in book.policies:
        if policy.metric in metrics and bounds_from(policy.operator) != usual:
            return policy.name
    return ""
