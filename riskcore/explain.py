"""A decision told step by step: every gate, and every limit with its figures, found by the functions that judged it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, localcontext
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from riskcore.book import Policy
from riskcore.case import Case, build_case
from riskcore.compiled import CompiledBook
from riskcore.decide import decide
from riskcore.decimals import EXACT, shown_ratio, tidy
from riskcore.figures import Figures, work_out
from riskcore.gates import (
    AFTER_PRICES,
    BEFORE_FIGURES,
    GateFunction,
    Refusal,
    allowed_strategy,
    emergency_stop,
    fresh_state,
    global_risk,
    known_account,
    not_a_duplicate,
    reduces_if_it_says_so,
    restricted_symbol,
    well_formed,
)
from riskcore.journal import Inputs
from riskcore.judge import Judgement, judge, margin_breach, no_self_match, order_type_allowed, sort_findings
from riskcore.limits import Finding, Gate, Limit, describe, headroom
from riskcore.overrides import lets_through
from riskcore.types import Decision


class Passage(StrEnum):
    """How an order came through a gate. EXEMPT: it strictly reduces a position, which the gate does not stop."""

    PASSED = "passed"
    FAILED = "failed"
    OVERRIDDEN = "overridden"
    EXEMPT = "exempt"
    NOT_REACHED = "not_reached"


class Effect(StrEnum):
    """What a limit did to an order. ALSO_BROKEN: it would have stopped it, had something else not done so before."""

    HOLDS = "holds"
    BLOCKS = "blocks"
    ALSO_BROKEN = "also_broken"
    WARNS = "warns"
    EASED = "eased"
    EXEMPT = "exempt"
    OVERRIDDEN = "overridden"
    SHADOW = "shadow"


class GateReport(Struct, frozen=True):
    """A gate of SPEC 3, or a rule between two (`number` 0). `why` is for people, empty where nothing is to be said."""

    number: int
    name: str
    passage: Passage
    why: str = ""


class LimitReport(Struct, frozen=True, kw_only=True):
    """One limit held against the order.

    `before` None: the metric has no value without the order, or is not defined. `after` None: not defined, which breaks
    it. `utilisation` (a fraction; None: beyond measure) and `headroom` (in the metric's unit) are with the order.
    `threshold` is the one that counted: as it is written, or as volatility has moved it.
    """

    policy: Policy
    gate: int
    before: Decimal | None
    after: Decimal | None
    threshold: Decimal
    utilisation: Decimal | None
    headroom: Decimal | None
    effect: Effect
    message: str


class Explanation(Struct, frozen=True, kw_only=True):
    """A decision, and how it came about.

    `figures` None: none were worked out, as the order was stopped before. `forced` is why it was refused from outside
    the rules. The case names the override that let it through, if one did.
    """

    decision: Decision
    case: Case
    figures: Figures | None
    gates: tuple[GateReport, ...]
    limits: tuple[LimitReport, ...]
    forced: str = ""


# The gates that stop an order by themselves: their number in SPEC 3, and what holds where they let it pass.
_NAMES: dict[GateFunction, tuple[int, str]] = {
    well_formed: (1, "The order makes sense and fits its instrument"),
    emergency_stop: (2, "No stop covers it"),
    global_risk: (3, "The firm is within its limits"),
    restricted_symbol: (4, "The symbol is not restricted"),
    known_account: (5, "The account is known and enabled"),
    fresh_state: (5, "The account's state is fresh"),
    reduces_if_it_says_so: (0, "It reduces a position, where it says so"),
    allowed_strategy: (6, "The strategy is allowed"),
    not_a_duplicate: (7, "It was not sent before"),
}
_PRICES = (5, "Prices are there and fresh")
_RATES = (7, "Not too many messages")
_CONTROLS = (8, "Controls of the order itself")
_MARGIN = (9, "Margin is available")
_POLICIES = (10, "Limits after the trade")
_PROFILE = (11, "The account's capital profile")
# The gates of which several may fail at once.
_BY_LIMITS = (_RATES, _CONTROLS, _MARGIN, _POLICIES, _PROFILE)


def explain(inputs: Inputs, book: CompiledBook) -> Explanation:
    """Return how the decision on these inputs under this book comes about; it is the one that `decide` returns."""
    decision = decide(inputs, book).decision
    book = book.at(inputs.now_us)
    with localcontext(EXACT):
        try:
            return _explain(build_case(inputs, book), decision)
        except ArithmeticError:
            return _explain(build_case(inputs, book, workable=False), decision)


def _explain(case: Case, decision: Decision) -> Explanation:
    judgement = judge(case)
    case = replace(case, override=judgement.override)
    forced = judgement.refusal.message if case.inputs.forced is not None and judgement.refusal is not None else ""
    figures = judgement.figures
    return Explanation(
        decision=decision,
        case=case,
        figures=figures,
        gates=tuple(_gates(case, figures, reached=not forced)),
        limits=() if figures is None else tuple(_limits(case, figures, judgement)),
        forced=forced,
    )


# ------------------------------------------------------------------------------------------------- gates
def _gates(case: Case, figures: Figures | None, *, reached: bool) -> Iterator[GateReport]:
    for gate in (*BEFORE_FIGURES, None, *AFTER_PRICES):
        number, name = _PRICES if gate is None else _NAMES[gate]
        if not reached:
            yield GateReport(number, name, Passage.NOT_REACHED)
            continue
        refusal = _price_refusal(case, figures) if gate is None else gate(case)
        passage = _passage(refusal, case)
        reached = passage is not Passage.FAILED
        yield GateReport(number, name, passage, "" if refusal is None else refusal.message)
    if reached and figures is not None:
        yield from _by_limits(case, figures)
    else:
        yield from (GateReport(number, name, Passage.NOT_REACHED) for number, name in _BY_LIMITS)


def _price_refusal(case: Case, figures: Figures | None) -> Refusal | None:
    found = work_out(case) if figures is None else figures
    return found if isinstance(found, Refusal) else None


def _passage(refusal: Refusal | None, case: Case) -> Passage:
    if refusal is None:
        return Passage.PASSED
    return Passage.OVERRIDDEN if lets_through(case.override, refusal.reason, case) else Passage.FAILED


def _by_limits(case: Case, figures: Figures) -> Iterator[GateReport]:
    """Gates 7 to 11: a message control or an order control alone, or else every limit of the account that fails."""
    failing, _, _ = sort_findings(case, figures)
    rates = [describe(each) for each in failing if each.limit.gate is Gate.MESSAGES]
    yield _report(_RATES, rates, case)
    if rates and case.override is None:
        yield from (GateReport(number, name, Passage.NOT_REACHED) for number, name in _BY_LIMITS[1:])
        return
    if case.reducing:
        yield from (GateReport(number, name, Passage.EXEMPT) for number, name in _BY_LIMITS[1:])
        return
    controls = _failing_controls(case, failing)
    # Overrides never let an order trade with one of its own account.
    own = no_self_match(case) if case.override is not None else None
    yield GateReport(*_CONTROLS, Passage.FAILED, own.message) if own else _report(_CONTROLS, controls, case)
    if own or (controls and case.override is None):
        yield from (GateReport(number, name, Passage.NOT_REACHED) for number, name in _BY_LIMITS[2:])
        return
    yield _report(_MARGIN, _short_margin(figures), case)
    for gate, kind in ((_POLICIES, Gate.POLICIES), (_PROFILE, Gate.PROFILE)):
        yield _report(gate, [describe(each) for each in failing if each.limit.gate is kind], case)


def _failing_controls(case: Case, failing: list[Finding]) -> list[str]:
    """Return why the first control that fails stops the order, alone; all of them where an override lets it through."""
    refusals = [each for each in (order_type_allowed(case), no_self_match(case)) if each is not None]
    found = [each.message for each in refusals]
    found += [describe(each) for each in failing if each.limit.gate is Gate.ORDER]
    return found[:1] if case.override is None else found


def _short_margin(figures: Figures) -> list[str]:
    short = figures.margin_needed > figures.margin_available
    return [margin_breach(figures).message] if short else []


def _report(gate: tuple[int, str], failures: list[str], case: Case) -> GateReport:
    if not failures:
        return GateReport(*gate, Passage.PASSED)
    passage = Passage.FAILED if case.override is None else Passage.OVERRIDDEN
    return GateReport(*gate, passage, "; ".join(failures))


# ------------------------------------------------------------------------------------------------ limits
def _limits(case: Case, figures: Figures, judgement: Judgement) -> Iterator[LimitReport]:
    """Yield every limit in scope, in the order in which they are reported."""
    failing, warnings, _ = (set(map(id, part)) for part in sort_findings(case, figures))
    stopped = {breach.policy_id for breach in judgement.violations}
    holding = figures.holding
    for place, limit in enumerate(holding.scope.limits):
        finding = holding.broken.get(place)
        if finding is None:
            holds = Finding(limit, holding.values[place], True, holding.used[place])
            yield _limit_report(holds, Effect.HOLDS, _before(figures, limit))
            continue
        if id(finding) in failing:
            effect = _effect_of_failing(case, limit, stopped)
        elif id(finding) in warnings and not limit.blocking:
            effect = Effect.WARNS
        else:
            effect = Effect.SHADOW if limit.shadow else _effect_of_let_through(figures, place)
        yield _limit_report(finding, effect, _before(figures, limit))


def _effect_of_failing(case: Case, limit: Limit, stopped: set[str | None]) -> Effect:
    if case.override is not None:
        return Effect.OVERRIDDEN
    return Effect.BLOCKS if limit.policy.id in stopped else Effect.ALSO_BROKEN


def _effect_of_let_through(figures: Figures, place: int) -> Effect:
    return Effect.EASED if place in figures.eased else Effect.EXEMPT


def _before(figures: Figures, limit: Limit) -> Decimal | None:
    if not limit.of_account or not figures.valued:
        return None
    part = figures.here if limit.by_exchange else figures.whole
    return limit.value(part.before)


def _limit_report(finding: Finding, effect: Effect, before: Decimal | None) -> LimitReport:
    limit, used = finding.limit, finding.utilisation
    show = limit.metric.show
    return LimitReport(
        policy=limit.policy,
        gate=int(limit.gate),
        before=None if before is None else show(before),
        after=None if finding.value is None else show(finding.value),
        threshold=tidy(limit.threshold),
        utilisation=None if used is None else shown_ratio(used),
        headroom=None if finding.value is None else headroom(limit, finding.value),
        effect=effect,
        message="" if finding.holds else describe(finding),
    )
