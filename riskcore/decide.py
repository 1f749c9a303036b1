"""One order, one decision: judged on the figures of one moment, with what it leaves behind. Pure and repeatable."""

from __future__ import annotations

from decimal import localcontext

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from riskcore.answer import answer
from riskcore.bookkeeping import keep_decision
from riskcore.case import Case, build_case
from riskcore.compiled import CompiledBook
from riskcore.decimals import EXACT, ZERO
from riskcore.gates import Refusal
from riskcore.journal import Inputs
from riskcore.judge import Judgement, judge
from riskcore.overrides import with_use
from riskcore.reasons import Reason
from riskcore.types import Breach, Decision, Ledger, Reservation

# Refusals from outside the rules that are not one more message of the account either.
_LEAVES_NOTHING = (Reason.CONTENTION, Reason.EMERGENCY_STOP_ACTIVE, Reason.NOT_REDUCING, Reason.RESERVATION_ENDED)

# Blocks that say nothing about the order: no sign that its sender has lost its way.
_OF_THE_MOMENT = (
    Reason.EMERGENCY_STOP_ACTIVE,
    Reason.GLOBAL_RISK_CRITICAL,
    Reason.EMERGENCY_ACTION_REQUIRED,
    Reason.STALE_ACCOUNT_STATE,
    Reason.PRICE_UNAVAILABLE,
)

_encoder = msgspec.json.Encoder()


class Outcome(Struct, frozen=True, kw_only=True, gc=False):
    """A decision and what it leaves behind.

    `ledger` None: the account's records are not to be touched (not known, not readable, or a what-if).
    """

    decision: Decision
    ledger: Ledger | None
    reservation: Reservation | None


def decide(inputs: Inputs, book: CompiledBook) -> Outcome:
    """Return the decision on these inputs under this book; the same ones always give the same decision.

    Numbers that are none (NaN, infinity) or that cannot be worked out exactly are unreadable records: a block.
    """
    book = book.at(inputs.now_us)
    with localcontext(EXACT):
        try:
            case = build_case(inputs, book)
            return _conclude(case, judge(case))
        except ArithmeticError:
            case = build_case(inputs, book, workable=False)
            return _conclude(case, judge(case))


def encode_decision(decision: Decision) -> bytes:
    """Return the decision's JSON, as doors send it and the journal keeps it."""
    return _encoder.encode(decision)


def reevaluate(inputs: Inputs, book: CompiledBook) -> bytes:
    """Return the decision's JSON worked out again from what the journal kept."""
    return encode_decision(decide(inputs, book).decision)


def _conclude(case: Case, judgement: Judgement) -> Outcome:
    refusal, order = judgement.refusal, case.order
    reservation = _reservation(case, judgement) if refusal is None and not order.what_if else None
    decision = answer(case, judgement, reservation)
    if case.account is None or _leaves_nothing(case):
        return Outcome(decision=decision, ledger=None, reservation=reservation)
    ledger = keep_decision(
        case.ledger,
        order,
        exchange=case.exchange,
        messages=case.book.limits_for(order, case.account, case.exchange).messages,
        now_us=case.inputs.now_us,
        reservation=reservation,
        rejected=refusal is not None and not _is_forgiven(case, refusal, judgement.violations),
        parameters=case.parameters,
    )
    if judgement.override is not None and judgement.figures is not None:
        used, now_us = judgement.override, case.inputs.now_us
        ledger = replace(
            ledger, overrides=with_use(ledger.overrides, used, order.quantity, judgement.figures.order.notional, now_us)
        )
    return Outcome(decision=decision, ledger=ledger, reservation=reservation)


def _leaves_nothing(case: Case) -> bool:
    inputs = case.inputs
    return inputs.order.what_if or not case.readable or inputs.beside_refused or inputs.forced in _LEAVES_NOTHING


def _is_forgiven(case: Case, refusal: Refusal, violations: tuple[Breach, ...]) -> bool:
    """Return whether a block is not one more reject.

    A block for too many rejects would keep an account out for ever; an order that only shared its batch with
    a bad one, or came while nothing was approved, was not bad itself.
    """
    of_rejects = any(breach.metric == "consecutive_rejects" for breach in violations)
    return of_rejects or case.inputs.forced is not None or refusal.reason in _OF_THE_MOMENT


def _reservation(case: Case, judgement: Judgement) -> Reservation | None:
    """Return what an approval holds: the order, or what is left of one that has traded already."""
    order, now_us, figures = case.order, case.inputs.now_us, judgement.figures
    assert figures is not None and case.account is not None  # an approval has both
    traded = case.inputs.tail.filled if case.inputs.tail is not None else ZERO
    if traded >= order.quantity:
        return None
    life = order.ttl_us or case.account.reservation_ttl_us or case.parameters.reservation_ttl_us
    return Reservation(
        order_id=order.order_id,
        account_id=order.account_id,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity - traded,
        price=figures.order.price,
        valued_at=figures.order.valued_at,
        margin_rate=figures.margin_rate,
        decision_id=case.inputs.decision_id,
        created_at_us=now_us,
        expires_at_us=now_us + life,
        exchange=case.leg_exchange,
        strategy_id=order.strategy_id,
    )
