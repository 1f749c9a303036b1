"""What the gates find on one case, in the order of SPEC 3."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from riskcore.book import Override
from riskcore.case import Case, build_case, reducible_quantity
from riskcore.decimals import ZERO, floor_to_step, money_down, money_up
from riskcore.figures import Figures, Part, work_out
from riskcore.gates import (
    AFTER_PRICES,
    BEFORE_FIGURES,
    Refusal,
    emergency_stop,
    global_risk,
    restricted_symbol,
    well_formed,
)
from riskcore.headroom import Room, bounds_of, has_room, largest_quantity, quantity_step, within_instrument
from riskcore.limits import Finding, Gate, Limit, as_breach, describe
from riskcore.overrides import is_within, lets_through, overrides_for
from riskcore.reasons import Reason
from riskcore.types import Breach, Side


class Judgement(Struct, frozen=True, kw_only=True, gc=False):
    """What the gates found: no refusal is an approval. `shadowed` are limits that would have stopped or warned.

    `override` is what let the order through, None where nothing had to.
    """

    refusal: Refusal | None
    figures: Figures | None = None
    violations: tuple[Breach, ...] = ()
    warnings: tuple[Breach, ...] = ()
    shadowed: tuple[Breach, ...] = ()
    max_quantity: Decimal | None = None
    scale_down: bool = False
    override: Override | None = None


_FORCED = {
    Reason.RESERVATION_ENDED: "the order was approved, but what that reserved has ended; send it as a new order",
    Reason.EMERGENCY_STOP_ACTIVE: "a stop is in force: the earlier approval of this order no longer holds",
    Reason.NOT_REDUCING: "the order was approved, but by now it would not strictly reduce a position",
    Reason.CONTENTION: "the account was changed by other orders at every attempt; send the order again",
    Reason.BATCH_REJECTED: "another order of the atomic batch was blocked, so none was approved",
}


def judge(case: Case) -> Judgement:
    """Return what the gates find, in their order; gates 1 to 8 stop at the first failure.

    What is refused is judged once more under the account's overrides, until one of them lets it through.
    """
    if case.inputs.forced is not None:
        return Judgement(refusal=Refusal(case.inputs.forced, _FORCED[case.inputs.forced]))
    judgement = _pass_gates(case)
    if judgement.refusal is None or case.order.account_id not in case.book.overrides:
        return judgement
    for override in overrides_for(case):
        under = _pass_gates(replace(case, override=override))
        if under.refusal is None and _has_room_for(under, override, case):
            return under
    return judgement


def _pass_gates(case: Case) -> Judgement:
    for gate in BEFORE_FIGURES:
        refusal = gate(case)
        if refusal is not None and not lets_through(case.override, refusal.reason, case):
            return Judgement(refusal=refusal)
    figures = work_out(case)
    if isinstance(figures, Refusal):
        return Judgement(refusal=figures)
    for gate in AFTER_PRICES:
        refusal = gate(case)
        if refusal is not None and not lets_through(case.override, refusal.reason, case):
            return Judgement(refusal=refusal, figures=figures)
    return _judge_limits(case, figures) if case.override is None else _judge_overridden(case, figures, case.override)


def _has_room_for(judgement: Judgement, override: Override, case: Case) -> bool:
    assert judgement.figures is not None  # an approval has them
    return is_within(override, case.ledger, case.order.quantity, judgement.figures.order.notional)


def _judge_overridden(case: Case, figures: Figures, override: Override) -> Judgement:
    """Gates 7 to 11 under an override: limits that fail warn. What trades with the account's own order is refused."""
    failing, warnings, shadowed = sort_findings(case, figures)
    own = None if case.reducing else no_self_match(case)
    margin, _ = (None, ()) if case.reducing else _account_limits(figures, [])
    short = (margin_breach(figures),) if margin is not None else ()
    return Judgement(
        refusal=own,
        figures=figures,
        warnings=(*short, *_breaches(failing), *_breaches(warnings)),
        shadowed=_breaches(shadowed),
        max_quantity=case.order.quantity,
        override=override,
    )


def _judge_limits(case: Case, figures: Figures) -> Judgement:
    """Gates 7 to 11: the first control that fails alone, or else every limit of the account that does."""
    failing, warnings, shadowed = sort_findings(case, figures)
    refusal, violations = _refused_by(case, figures, failing)
    if refusal is None:
        return Judgement(
            refusal=None,
            figures=figures,
            warnings=_breaches(warnings),
            shadowed=_breaches(shadowed),
            max_quantity=_largest_beside(case, figures),
        )
    largest = _largest_passing(case, figures, failing)
    return Judgement(
        refusal=refusal,
        figures=figures,
        violations=violations,
        warnings=_breaches(warnings),
        shadowed=_breaches(shadowed),
        max_quantity=largest,
        scale_down=largest > ZERO
        and refusal.reason is Reason.POLICY_VIOLATION
        and bool(failing)
        and all(finding.limit.scalable for finding in failing),
    )


def _breaches(findings: list[Finding]) -> tuple[Breach, ...]:
    return tuple(map(as_breach, findings))


def _refused_by(case: Case, figures: Figures, failing: list[Finding]) -> tuple[Refusal | None, tuple[Breach, ...]]:
    refusal, violations = _first_control(case, failing)
    if refusal is None and not case.reducing:
        return _account_limits(figures, failing)
    return refusal, violations


def sort_findings(case: Case, figures: Figures) -> tuple[list[Finding], list[Finding], list[Finding]]:
    """Part the limits that do not hold into those that stop the order, those that warn, and those that only would."""
    failing: list[Finding] = []
    warnings: list[Finding] = []
    shadowed: list[Finding] = []
    for place, finding in figures.holding.broken.items():
        exempt = case.reducing and finding.limit.gate is not Gate.MESSAGES
        let_through = exempt or place in figures.eased
        if finding.limit.shadow:
            if not let_through:
                shadowed.append(finding)
        elif not finding.limit.blocking or let_through:
            warnings.append(finding)
        else:
            failing.append(finding)
    return failing, warnings, shadowed


def _first_control(case: Case, failing: list[Finding]) -> tuple[Refusal | None, tuple[Breach, ...]]:
    """Gate 7's rates and gate 8's order controls: the first that fails, alone."""
    for finding in failing:
        if finding.limit.gate is Gate.MESSAGES:
            return Refusal(Reason.RATE_LIMIT_EXCEEDED, describe(finding)), (as_breach(finding),)
    if case.reducing:
        return None, ()
    refusal = order_type_allowed(case) or no_self_match(case)
    if refusal is not None:
        return refusal, ()
    for finding in failing:
        if finding.limit.gate is Gate.ORDER:
            return Refusal(Reason.POLICY_VIOLATION, describe(finding)), (as_breach(finding),)
    return None, ()


def order_type_allowed(case: Case) -> Refusal | None:
    allowed = case.instrument.order_types if case.instrument is not None else ()
    if not allowed or case.order.order_type in allowed:
        return None
    text = f"{case.order.order_type} orders are not allowed in {case.order.symbol}, only {', '.join(allowed)}"
    return Refusal(Reason.POLICY_VIOLATION, text)


def no_self_match(case: Case) -> Refusal | None:
    """An order that would trade against the account's own open order on the same exchange."""
    own = case.inputs.own_price
    if own is None:
        return None
    price, other = case.order.price, Decimal(own)
    crosses = not price or (price >= other if case.order.side is Side.BUY else price <= other)
    if not crosses:
        return None
    text = f"the order would match the account's own open order in {case.order.symbol} at {other:f}"
    return Refusal(Reason.SELF_MATCH, text)


def _account_limits(figures: Figures, failing: list[Finding]) -> tuple[Refusal | None, tuple[Breach, ...]]:
    """Gates 9 to 11: every failure is reported, the first one gives the reason."""
    breaches = [as_breach(finding) for finding in failing]
    if figures.margin_needed > figures.margin_available:
        margin = margin_breach(figures)
        return Refusal(Reason.INSUFFICIENT_MARGIN, margin.message), (margin, *breaches)
    if failing:
        return Refusal(Reason.POLICY_VIOLATION, describe(failing[0])), tuple(breaches)
    return None, ()


def margin_breach(figures: Figures) -> Breach:
    need, available = figures.margin_needed, figures.margin_available
    return Breach(
        policy_id=None,
        name="Margin available",
        type="hard",
        metric="margin_available",
        value=available - need,
        operator=">=",
        threshold=ZERO,
        utilisation=None,
        message=f"insufficient margin: need {money_up(need)}, available {money_down(available)}",
    )


def _candidate(case: Case, figures: Figures) -> Decimal:
    """Solve the limits for the largest quantity; what only reduces a position passes whatever they say."""
    reducible = _reducible(case)
    if case.order.only_reduces or not figures.valued or _only_reducing_passes(case, figures):
        return reducible
    best = max(_largest_within_limits(case, figures), reducible)
    step = quantity_step(case.instrument)
    return within_instrument(floor_to_step(best, step), case.instrument) if best > ZERO else ZERO


def _largest_within_limits(case: Case, figures: Figures) -> Decimal:
    """Return the largest quantity that passes every blocking limit and the available margin, not rounded to steps.

    Limits that the order makes better do not count; where one is broken whatever the quantity is, there is none.
    """
    if any(not has_room(limit) for limit in _stopping(figures)):
        return ZERO
    scope = figures.holding.scope
    bounds = scope.bounds
    if figures.eased:
        bounds = bounds_of(limit for place, limit in enumerate(scope.limits) if place not in figures.eased)
    room = _room(case, figures, figures.whole)
    here = room if figures.here is figures.whole else _room(case, figures, figures.here)
    return largest_quantity(room, here, bounds)


def _room(case: Case, figures: Figures, part: Part) -> Room:
    leg = part.before.leg
    assert leg is not None  # an order has one
    return Room(
        state=part.before.state,
        exposure=part.before.exposure,
        leg=leg,
        beside=part.before.beside,
        side=case.order.side,
        order=figures.order,
        margin_rate=figures.margin_rate,
        step=quantity_step(case.instrument),
        tail=part.after.tail,
    )


def _reducible(case: Case) -> Decimal:
    """Return the largest quantity that may be sent and strictly reduces the position; 0 if none does."""
    quantity = reducible_quantity(case)
    if not quantity:
        return ZERO
    return within_instrument(floor_to_step(quantity, quantity_step(case.instrument)), case.instrument)


def _only_reducing_passes(case: Case, figures: Figures) -> bool:
    """Return whether a reducing order is let through by something that stops every larger one."""
    if not case.reducing:
        return False
    larger = replace(case, reducing=False)
    return any(
        gate(larger) is not None
        for gate in (emergency_stop, global_risk, restricted_symbol, order_type_allowed, no_self_match)
    ) or bool(_stopping(figures))


def _stopping(figures: Figures) -> list[Limit]:
    """Return the blocking limits that the order breaks and does not make better."""
    broken = figures.holding.broken.items()
    return [finding.limit for place, finding in broken if finding.limit.blocking and place not in figures.eased]


def _largest_beside(case: Case, figures: Figures) -> Decimal:
    """Return the largest quantity that passes now, the order's own passing."""
    largest = max(case.order.quantity, _candidate(case, figures))
    if largest > case.order.quantity and case.book.forbids_one_value and not _would_pass(case, largest):
        largest -= quantity_step(case.instrument)
    return largest


def _largest_passing(case: Case, figures: Figures, failing: list[Finding]) -> Decimal:
    """Return the largest quantity that passes now, tried out before it is named; 0 if none does."""
    if any(finding.limit.gate is Gate.MESSAGES for finding in failing):
        return ZERO
    largest = _candidate(case, figures)
    # An inequality may forbid the very quantity at which another limit is used up.
    for quantity in (largest, largest - quantity_step(case.instrument), _reducible(case)):
        if ZERO < quantity < case.order.quantity and _would_pass(case, quantity):
            return quantity
    return ZERO


def _would_pass(case: Case, quantity: Decimal) -> bool:
    smaller = replace(case.inputs, order=replace(case.order, quantity=quantity))
    tried = build_case(smaller, case.book)
    figures = work_out(tried)
    assert not isinstance(figures, Refusal)  # the prices are those that the larger order was valued at
    failing, _, _ = sort_findings(tried, figures)
    return well_formed(tried) is None and _refused_by(tried, figures, failing)[0] is None
