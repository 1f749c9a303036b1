"""Orders decided on one load of the store: what to answer and what to write, nothing of it done yet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from riskcore.case import build_case, home_exchange, trading_state_for
from riskcore.compiled import CompiledBook
from riskcore.decide import Outcome, decide, encode_decision
from riskcore.journal import DecisionEntry, Inputs, decode_entry
from riskcore.ledger import encode_ledger
from riskcore.ports import AccountChange, AccountView, Answer, Commit, Control, Load, Loaded
from riskcore.reasons import TRANSIENT, Reason
from riskcore.routing import Routed
from riskcore.types import Order, Reservation, Side, TradingState, position_key

NewId = Callable[[int], str]

_encoder = msgspec.json.Encoder()
_NULL = Raw(b"null")


class Answered(Struct, frozen=True, kw_only=True, gc=False):
    """One order's answer: the decision's JSON. `replayed`: the first answer to this order_id, given again."""

    order: Order
    decision: bytes
    approved: bool
    reason: Reason | None
    replayed: bool = False


class _Approval(Struct):
    """As much of an earlier decision as says whether it approved."""

    approved: bool
    reason: Reason | None


_approval_decoder = msgspec.json.Decoder(_Approval)


def fingerprint(order: Order) -> str:
    """Return what tells one request under an order_id from another."""
    return hashlib.blake2b(_encoder.encode(order), digest_size=16).hexdigest()


def _as_json(record: Raw) -> Raw:
    """Return a record as the journal can hold it: one that is no JSON as text, which is no better readable."""
    try:
        msgspec.json.decode(record)
    except (msgspec.MsgspecError, ValueError):
        return Raw(_encoder.encode(bytes(record).decode("latin-1")))
    return record


def _best(prices: Iterable[str], best: Callable[[Iterable[Decimal]], Decimal]) -> str:
    """Return the best of some prices. Where one is no number, neither is the best: what meets it is blocked."""
    try:
        return str(best(map(Decimal, prices)))
    except InvalidOperation:
        return "NaN"


class _Working:
    """One account while orders are worked through: what the ones before have already changed."""

    def __init__(self, view: AccountView) -> None:
        self.view = view
        self.state = _NULL if view.state is None else Raw(view.state)
        self.ledger = _NULL if view.ledger is None else Raw(view.ledger)
        self.expired = view.expired
        self.answers = dict(view.answers)
        self.bids, self.asks = dict(view.own_bids), dict(view.own_asks)
        self.changed = False
        self.removed: tuple[Reservation, ...] = ()
        self.added: list[Reservation] = []
        # Of these, what is not among the bids and asks yet: only another order of the same batch may meet it.
        self._unquoted: list[Reservation] = []
        self.remembered: dict[str, Answer] = {}

    def own_price(self, order: Order, keys: Iterable[str]) -> str | None:
        """Return the account's own best open price on the other side, among the legs that the order may meet."""
        while self._unquoted:
            self._quote(self._unquoted.pop())
        quotes = self.asks if order.side is Side.BUY else self.bids
        found = [quotes[key] for key in keys if key in quotes]
        return _best(found, min if order.side is Side.BUY else max) if found else None

    def held(self, order: Order, now_us: int) -> Reservation | None:
        """Return the reservation that the order's approval still has, None where it has ended."""
        for added in self.added:
            if added.order_id == order.order_id:
                return added
        held = self.view.reservations.get(order.order_id)
        return held if held is not None and held.expires_at_us > now_us else None

    def keep(self, outcome: Outcome) -> None:
        """Take over what a decision leaves in the account."""
        if outcome.ledger is None:
            return
        self.changed = True
        self.ledger = Raw(encode_ledger(outcome.ledger))
        self.removed, self.expired = self.removed + self.expired, ()
        if outcome.reservation is not None:
            self.added.append(outcome.reservation)
            self._unquoted.append(outcome.reservation)

    def _quote(self, held: Reservation) -> None:
        key = position_key(held.symbol, held.exchange)
        if held.side is Side.BUY:
            self.bids[key] = _best((str(held.price), self.bids.get(key, str(held.price))), max)
        else:
            self.asks[key] = _best((str(held.price), self.asks.get(key, str(held.price))), min)

    def remember(self, order: Order, answer: Answer) -> None:
        """Keep the first answer to an order_id, for the store and for the rest of this batch."""
        self.answers[order.order_id] = self.remembered[order.order_id] = answer

    def change(self) -> AccountChange:
        """Return what to write: where nothing changed, only that the version must still be the same."""
        return AccountChange(
            account_id=self.view.account_id,
            expected_version=self.view.version,
            ledger=bytes(self.ledger) if self.changed else None,
            symbols=tuple(dict.fromkeys(one.symbol for one in self.added)),
            add=tuple(self.added),
            remove=self.removed,
            answers=self.remembered,
        )


class Batch:
    """Some orders of one lane, decided in order and with cumulative effect on what was loaded."""

    def __init__(
        self,
        routed: tuple[Routed, ...],
        loaded: Loaded,
        control: Control,
        book: CompiledBook,
        new_id: NewId,
    ) -> None:
        self.routed = routed
        # In the second pass of an atomic batch, the blocks of the first, which sank it.
        self._sank: dict[int, Answered] | None = None
        self.loaded, self.control, self.book, self.new_id = loaded, control, book, new_id
        self.entries: list[bytes | None] = []
        self._start()

    def _start(self) -> None:
        self.accounts = {view.account_id: _Working(view) for view in self.loaded.accounts}

    def decide(self) -> tuple[Answered, ...]:
        """Decide every order by itself."""
        return tuple(self._answer(place) for place in range(len(self.routed)))

    def decide_all_or_none(self) -> tuple[Answered, ...]:
        """Approve every order or none: one block turns every approval into a refusal.

        The orders are then gone through again, so that what is counted and remembered of them is what
        happened. A block that only the orders before it brought about is still told as it was.
        """
        answers = self.decide()
        if all(answer.approved for answer in answers):
            return answers
        self._sank = {place: answer for place, answer in enumerate(answers) if not answer.approved}
        self._start()
        return self.decide()

    def refuse_all(self, reason: Reason) -> tuple[Answered, ...]:
        """Block every order for a reason outside the rules."""
        return tuple(self._decide(place, forced=reason) for place in range(len(self.routed)))

    def journal(self) -> tuple[bytes, ...]:
        """Return the entries of the decisions that are new."""
        return tuple(entry for entry in self.entries if entry is not None)

    def commit(self, reload: Load) -> Commit:
        """Return the write of all that was decided, on condition that nothing it was decided on has moved."""
        changes = tuple(account.change() for account in self.accounts.values())
        return Commit(expect=self.control, changes=changes, journal=self.journal(), reload=reload)

    def record_only(self, reload: Load) -> Commit:
        """Return the write of the journal entries alone, whatever has moved."""
        return Commit(expect=None, changes=(), journal=self.journal(), reload=reload)

    def _answer(self, place: int) -> Answered:
        order = self.routed[place].order
        first = None if order.what_if else self.accounts[order.account_id].answers.get(order.order_id)
        if first is None:
            return self._decide(place)
        if first.fingerprint != fingerprint(order):
            return self._decide(place, duplicate=True)
        return self._repeat(place, first)

    def _repeat(self, place: int, first: Answer) -> Answered:
        """Give the first answer again; but an approval only while it still holds what it reserved."""
        order = self.routed[place].order
        earlier = _approval_decoder.decode(first.decision)
        ended = self._ended(place) if earlier.approved else None
        if ended is not None:
            return self._decide(place, forced=ended)
        self._journaled(place, None)
        return Answered(
            order=order, decision=first.decision, approved=earlier.approved, reason=earlier.reason, replayed=True
        )

    def _ended(self, place: int) -> Reason | None:
        """Return why the approval of an order no longer holds, None where it does.

        One that may only reduce is not given again where it would open or flip a position by now.
        """
        order = self.routed[place].order
        account = self.accounts[order.account_id]
        held = account.held(order, self.loaded.now_us)
        if held is None:
            return Reason.RESERVATION_ENDED
        exchange = home_exchange(order, self.book.accounts.get(order.account_id)) or self.routed[place].exchange
        match trading_state_for(order, exchange, self.control.stops):
            case TradingState.ACTIVE:
                return None if not order.only_reduces or self._still_reduces(place, held) else Reason.NOT_REDUCING
            case TradingState.REDUCING if self._still_reduces(place, held):
                return None
            case _:
                return Reason.EMERGENCY_STOP_ACTIVE

    def _still_reduces(self, place: int, held: Reservation) -> bool:
        """Return whether what is open of an approved order strictly reduces, its reservation left out of account."""
        order = replace(self.routed[place].order, quantity=held.quantity)
        inputs = self._inputs(order, self.accounts[order.account_id], place, duplicate=False, forced=None)
        return build_case(replace(inputs, expired=(*inputs.expired, held)), self.book).reducing

    def _decide(self, place: int, *, duplicate: bool = False, forced: Reason | None = None) -> Answered:
        order = self.routed[place].order
        account = self.accounts[order.account_id]
        inputs = self._inputs(order, account, place, duplicate=duplicate, forced=forced)
        outcome = decide(inputs, self.book)
        if outcome.decision.approved and self._sank is not None:
            if place in self._sank:
                return self._told_as_it_was(place)
            inputs = replace(inputs, forced=Reason.BATCH_REJECTED)
            outcome = decide(inputs, self.book)
        decision = outcome.decision
        content = encode_decision(decision)
        kept = inputs
        if outcome.ledger is None:  # perhaps because a record is unreadable
            kept = replace(inputs, state=_as_json(inputs.state), ledger=_as_json(inputs.ledger))
        self._journaled(place, _encoder.encode(DecisionEntry(inputs=kept, decision=Raw(content))))
        account.keep(outcome)
        if outcome.ledger is not None and not duplicate and decision.reason not in TRANSIENT:
            account.remember(order, Answer(fingerprint(order), content))
        return Answered(order=order, decision=content, approved=decision.approved, reason=decision.reason)

    def _told_as_it_was(self, place: int) -> Answered:
        """Answer with the block of the first pass; it was decided beside approvals that were then not given."""
        assert self._sank is not None  # this is the second pass
        entry = self.entries[place]
        if entry is not None:
            kept = decode_entry(entry)
            assert isinstance(kept, DecisionEntry)
            self._journaled(place, _encoder.encode(replace(kept, inputs=replace(kept.inputs, beside_refused=True))))
        return self._sank[place]

    def _inputs(self, order: Order, account: _Working, place: int, *, duplicate: bool, forced: Reason | None) -> Inputs:
        return Inputs(
            order=order,
            decision_id=self.new_id(self.loaded.now_us),
            now_us=self.loaded.now_us,
            book_version=self.control.book_version,
            generation=self.control.generation,
            epoch=self.control.epoch,
            account_version=account.view.version,
            state=account.state,
            ledger=account.ledger,
            prices=account.view.prices,
            stops=self.control.stops,
            expired=account.expired,
            own_price=account.own_price(order, self.routed[place].keys),
            duplicate=duplicate,
            forced=forced,
            tail=account.view.tails.get(order.order_id),
            signal=self.loaded.signal,
        )

    def _journaled(self, place: int, entry: bytes | None) -> None:
        if place < len(self.entries):
            self.entries[place] = entry
        else:
            self.entries.append(entry)
