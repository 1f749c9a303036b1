"""A recorded decision under two books: what would have been answered otherwise, had the proposed one been in force."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

import msgspec
from msgspec import Struct

from policies.preview.counting import Counting
from policies.preview.reach import Reach
from policies.preview.since import Since
from riskcore.compiled import CompiledBook
from riskcore.decide import decide
from riskcore.journal import Inputs
from riskcore.reasons import Reason
from riskcore.types import Breach, Decision, Order, Verdict


class Kind(StrEnum):
    """How two answers to one order differ. The first two are flips."""

    BLOCKED = "blocked"
    APPROVED = "approved"
    OFFERED = "offered"
    REASON = "reason"
    WARNED = "warned"
    SHADOWED = "shadowed"


class Apart(StrEnum):
    """Decisions that say nothing, or less, of a limit: each is counted apart."""

    WHAT_IF = "what_if"
    UNKNOWN_ACCOUNT = "unknown_account"
    DUPLICATE = "duplicate"
    BATCH = "batch"
    MOMENT = "moment"
    UNREADABLE = "unreadable"


class Told(Struct, frozen=True, kw_only=True):
    """As much of an answer as is compared and shown, by the names that it has in `Decision`."""

    decision: Verdict
    reason: str | None
    message: str
    violations: tuple[Breach, ...]
    warnings: tuple[Breach, ...]
    max_quantity: Decimal | None
    shadow_violations: tuple[Breach, ...] = ()

    @property
    def approved(self) -> bool:
        """Whether the order may go."""
        return self.decision is Verdict.ALLOW


class Flip(Struct, frozen=True, kw_only=True):
    """An order that is answered otherwise. `causes` names the limits that make the difference, or the reason code."""

    decision_id: str
    decided_at_us: int
    order: Order
    kind: Kind
    causes: tuple[str, ...]
    before: Told
    after: Told


class Replayed(Struct, frozen=True):
    """What a recorded decision comes to. `problem` says why it could not be replayed (Apart.UNREADABLE)."""

    apart: Apart | None = None
    flip: Flip | None = None
    problem: str = ""


_inputs = msgspec.json.Decoder(Inputs)
_told = msgspec.json.Decoder(Told)


class Replay:
    """Recorded decisions, each under the book in force and under a proposed one. They come in their order in time.

    Parameters
    ----------
    in_force, proposed
        The books.
    since
        Whether the book in force decides an order as the one did that it met: then it was answered already.
    """

    def __init__(self, in_force: CompiledBook, proposed: CompiledBook, since: Since) -> None:
        self._in_force, self._proposed, self._since = in_force, proposed, since
        self._reach, self._counting = Reach(in_force, proposed), Counting(in_force, proposed)
        self._accounts = frozenset((*in_force.accounts, *proposed.accounts))

    def of(self, inputs_json: str, answer_json: str) -> Replayed:
        """Return what a decision comes to, by the journal's two texts."""
        try:
            return self._replayed(_inputs.decode(inputs_json), answer_json)
        except Exception as error:  # whatever it is, it is a finding about this decision, and the others go on
            return Replayed(Apart.UNREADABLE, problem=f"{type(error).__name__}: {error}")

    def _replayed(self, inputs: Inputs, answer_json: str) -> Replayed:
        apart = self._apart(inputs)
        if not self._reach.concerns(inputs.order):
            return Replayed(apart)
        after = self._proposed_answer(inputs)
        if apart not in (None, Apart.WHAT_IF):
            return Replayed(apart)
        before = self._present_answer(inputs, answer_json, after)
        kind = kind_of(before, after)
        return Replayed(apart, None if kind is None else _flip(inputs, kind, before, after))

    def _apart(self, inputs: Inputs) -> Apart | None:
        if inputs.order.account_id not in self._accounts:
            return Apart.UNKNOWN_ACCOUNT
        if inputs.forced is not None:
            return Apart.BATCH if inputs.forced is Reason.BATCH_REJECTED else Apart.MOMENT
        if inputs.duplicate:
            return Apart.DUPLICATE
        return Apart.WHAT_IF if inputs.order.what_if else None

    def _proposed_answer(self, inputs: Inputs) -> Told:
        if not self._counting:
            return told(decide(inputs, self._proposed).decision)
        outcome = decide(self._counting.with_counts(inputs), self._proposed)
        self._counting.keep(inputs, outcome)
        return told(outcome.decision)

    def _present_answer(self, inputs: Inputs, answer_json: str, after: Told) -> Told:
        """Return the answer of the book in force: the recorded one where that was by the same rules for this order.

        Where that one differs from the proposed answer it is worked out all the same, so that no difference is told
        that is one between two versions of this program.
        """
        if self._since.nothing_changed_for(inputs.order, inputs.book_version):
            recorded = _told.decode(answer_json)
            if kind_of(recorded, after) is None:
                return recorded
        return told(decide(inputs, self._in_force).decision)


def told(decision: Decision) -> Told:
    """Return as much of a decision as is compared and shown."""
    return Told(
        decision=decision.decision,
        reason=decision.reason,
        message=decision.message,
        violations=decision.violations,
        warnings=decision.warnings,
        max_quantity=decision.max_quantity,
        shadow_violations=decision.shadow_violations or (),
    )


def kind_of(before: Told, after: Told) -> Kind | None:
    """Return how two answers to one order differ, None where they do not.

    Two blocks for the same reason by the same limits are the same, whatever the thresholds were.
    """
    if before.approved is not after.approved:
        return Kind.APPROVED if after.approved else Kind.BLOCKED
    if not after.approved and _offer(before) != _offer(after):
        return Kind.OFFERED
    if before.reason != after.reason or _limits(before.violations) != _limits(after.violations):
        return Kind.REASON
    if after.approved and _limits(before.warnings) != _limits(after.warnings):
        return Kind.WARNED
    return Kind.SHADOWED if _limits(before.shadow_violations) != _limits(after.shadow_violations) else None


def _offer(answer: Told) -> Decimal | None:
    """Return the smaller quantity that an answer offers, None where it offers none."""
    return answer.max_quantity if answer.decision is Verdict.SCALE_DOWN else None


def _limits(breaches: tuple[Breach, ...]) -> frozenset[str]:
    """Return what the limits go by: the margin of an account is one without an id."""
    return frozenset([breach.policy_id or breach.name for breach in breaches])


def _flip(inputs: Inputs, kind: Kind, before: Told, after: Told) -> Flip:
    return Flip(
        decision_id=inputs.decision_id,
        decided_at_us=inputs.now_us,
        order=inputs.order,
        kind=kind,
        causes=_causes(kind, before, after),
        before=before,
        after=after,
    )


def _causes(kind: Kind, before: Told, after: Told) -> tuple[str, ...]:
    """Return the limits that make the difference; where none is named, the reason code."""
    if kind is Kind.WARNED:
        return _on_one_side(before.warnings, after.warnings)
    if kind is Kind.SHADOWED:
        return _on_one_side(before.shadow_violations, after.shadow_violations)
    if kind in (Kind.OFFERED, Kind.REASON):
        return _other_block(before, after)
    blocking = before if after.approved else after
    return _names(blocking.violations) or (blocking.reason or "",)


def _other_block(before: Told, after: Told) -> tuple[str, ...]:
    """Return what makes one block another: the limits that block as well, the reason, or those that do no more."""
    known = _limits(before.violations)
    added = [breach for breach in after.violations if (breach.policy_id or breach.name) not in known]
    if not added and before.reason != after.reason:
        return (after.reason or "",)
    return _names(added) or _on_one_side(before.violations, after.violations) or _names(after.violations)


def _names(breaches: Iterable[Breach]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(breach.name for breach in breaches))


def _on_one_side(before: tuple[Breach, ...], after: tuple[Breach, ...]) -> tuple[str, ...]:
    """Return the names of the limits that are broken under one book and not under the other."""
    alone = _limits(before) ^ _limits(after)
    return _names(one for one in (*before, *after) if (one.policy_id or one.name) in alone)
