"""A judgement put into the words of the wire: the decision as doors send it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import ROUND_CEILING, Decimal

from msgspec import UNSET

from riskcore.book import Override
from riskcore.calendar import moment
from riskcore.case import Case
from riskcore.decimals import EXACT, MILLIONTH, MINUS_ONE, ONE, ZERO, shown_ratio, shown_share, tidy
from riskcore.figures import Figures
from riskcore.judge import Judgement
from riskcore.limits import Finding
from riskcore.metrics import SHOWN
from riskcore.types import (
    AccountState,
    BindingLimit,
    Decision,
    OverrideRef,
    Reservation,
    ReservationRef,
    RiskLevel,
    Verdict,
)

_HUNDRED = Decimal(100)
_CENT = Decimal("0.01")

# Those of the metrics shown that an order moves.
_MOVED = tuple((metric.name, metric.value, metric.show) for metric in SHOWN if not metric.of_state)


def answer(case: Case, judgement: Judgement, reservation: Reservation | None) -> Decision:
    """Return the decision of this judgement. `reservation` is what an approval holds, None for a what-if."""
    refusal, figures, order = judgement.refusal, judgement.figures, case.order
    overridden = judgement.override
    binding = _binding(figures)
    return Decision(
        decision=_verdict(judgement),
        approved=refusal is None,
        decision_id=case.inputs.decision_id,
        order_id=order.order_id,
        account_id=order.account_id,
        reason=refusal.reason if refusal is not None else None,
        message=refusal.message if refusal is not None else _approved_text(case, overridden),
        violations=judgement.violations,
        warnings=judgement.warnings,
        max_quantity=None if judgement.max_quantity is None else tidy(judgement.max_quantity),
        scale_factor=_scale_factor(judgement, order.quantity),
        binding_limit=_binding_limit(binding) if binding is not None else None,
        risk_level=_risk_level(case, figures, binding),
        trading_state=case.trading_state,
        post_trade_metrics=_shown_metrics(figures) if figures is not None else {},
        limit_utilization=_utilisations(figures) if figures is not None else {},
        policy_book_version=case.inputs.book_version,
        account_state_at=state_at(case.state),
        reservation=None
        if reservation is None
        else ReservationRef(id=reservation.decision_id, expires_at=moment(reservation.expires_at_us)),
        what_if=order.what_if,
        timestamp=moment(case.inputs.now_us),
        shadow_violations=judgement.shadowed or UNSET,
        override=UNSET if overridden is None else OverrideRef(overridden.id, overridden.reason),
    )


def state_at(state: AccountState | None) -> datetime | None:
    """Return when the older part of a state was reported; None where a part never was."""
    return moment(state.received_at_us) if state is not None and state.received_at_us else None


def _verdict(judgement: Judgement) -> Verdict:
    if judgement.refusal is None:
        return Verdict.ALLOW
    return Verdict.SCALE_DOWN if judgement.scale_down else Verdict.BLOCK


def _approved_text(case: Case, override: Override | None) -> str:
    if case.order.what_if:
        return "would be approved; nothing was reserved"
    if override is not None:
        return f"approved by an override: {override.reason}"
    return "approved: the order strictly reduces a position" if case.reducing else "approved"


def _scale_factor(judgement: Judgement, quantity: Decimal) -> Decimal | None:
    """The part of the order that would pass, never rounded up to more of it; 1 where all of it does."""
    if judgement.refusal is None:
        return ONE
    return None if judgement.max_quantity is None else shown_share(judgement.max_quantity / quantity)


def _binding(figures: Figures | None) -> Finding | None:
    return figures.holding.binding(figures.holding.scope.blocking) if figures is not None else None


def binding_finding(findings: Iterable[Finding]) -> Finding | None:
    """Return the hard or emergency limit with the most utilisation; beyond measure is the most."""
    binding, most = None, MINUS_ONE
    for finding in findings:
        if finding.limit.blocking:
            used = finding.utilisation
            if used is None:
                return finding
            if used > most:
                binding, most = finding, used
    return binding


def _binding_limit(finding: Finding) -> BindingLimit:
    return BindingLimit(
        policy_id=finding.limit.policy.id,
        name=finding.limit.policy.name,
        metric=finding.limit.metric.name,
        value=None if finding.value is None else finding.limit.metric.show(finding.value),
        threshold=tidy(finding.limit.policy.threshold),
        utilisation=None if finding.utilisation is None else shown_ratio(finding.utilisation),
    )


def _risk_level(case: Case, figures: Figures | None, binding: Finding | None) -> RiskLevel:
    """The level of the account after the order; limits on the order alone say nothing about the account."""
    if figures is None or not figures.valued:
        return RiskLevel.UNKNOWN
    if binding is not None and not binding.limit.of_account:
        binding = figures.holding.binding(figures.holding.scope.binding)
    return risk_level(binding, case.parameters.warning_utilisation, case.parameters.critical_utilisation)


def risk_level(binding: Finding | None, warning: Decimal, critical: Decimal) -> RiskLevel:
    """Return the risk level of an account whose most used hard or emergency limit this is (bounds 0..1)."""
    if binding is None:
        return RiskLevel.INFO
    used = binding.utilisation
    if used is None or used >= critical:
        return RiskLevel.CRITICAL
    return RiskLevel.WARNING if used >= warning else RiskLevel.INFO


def risk_score(binding: Finding | None) -> Decimal:
    """Return the utilisation of the binding limit from 0 to 100, rounded up; 100 where one is broken beyond measure."""
    if binding is None:
        return ZERO
    used = binding.utilisation
    return _HUNDRED if used is None else min(_HUNDRED, (used * _HUNDRED).quantize(_CENT, ROUND_CEILING, EXACT))


def _shown_metrics(figures: Figures) -> dict[str, Decimal | None]:
    shown, values = figures.unmoved.shown.copy(), figures.whole.values
    for name, value_of, show in _MOVED:
        moved = values[value_of]
        if moved is not None:
            shown[name] = show(moved)
    after = figures.whole.after
    if after.tail is None:
        return shown
    # Value at risk is shown as far as limits ask for it.
    asked = dict.fromkeys(limit.metric for _, limit in figures.holding.scope.worked_out if limit.of_tail)
    return shown | {
        metric.name: None if (value := metric.value(after)) is None else metric.show(value) for metric in asked
    }


def _utilisations(figures: Figures) -> dict[str, Decimal | None]:
    shown, used = figures.unmoved.utilisations.copy(), figures.holding.used
    for place, limit in figures.holding.scope.moved:
        share = used[place]  # as `shown_ratio` shows it, but never infinite
        shown[limit.policy.id] = None if share is None else share.quantize(MILLIONTH, None, EXACT)
    return shown
