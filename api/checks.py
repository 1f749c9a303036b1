"""Everything about an order check that is not transport: who may ask, what for, and what to answer and count."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from api import errors, metrics
from api.errors import PROBLEM_TYPE, Problem
from api.grants import CHECK_ORDERS
from api.ids import new_decision_id
from api.keyring import KeyRecord
from api.metrics import Result
from api.wire import BatchRequest, batch_reply, read_batch, read_order, with_time
from feeds.books import BOOKS
from feeds.malformed import Malformed
from feeds.pull import Pull
from riskcore.batch import Answered
from riskcore.engine import check_steps
from riskcore.reasons import Reason
from riskcore.refused import not_decided
from riskcore.types import Order
from state.driver import TaskTurns, ThreadTurns, run_async, run_sync
from state.store import AsyncStore, StateUnavailable, Store

logger = logging.getLogger(__name__)

JSON_TYPE = "application/json"

_encoder = msgspec.json.Encoder()

# Orders of a batch decided in one step. Each takes about 0.1 ms, in which another check of the same account makes all
# of them be decided again; and each carries its account's whole state into the journal.
_TOGETHER = 50

# The answers of an engine that could not decide at all.
_UNDECIDED = (Reason.RECOVERING, Reason.STATE_UNAVAILABLE)


class Reply(Struct, frozen=True):
    """What a door sends; `replayed` says that it is an earlier answer given again."""

    status: int
    body: bytes
    content_type: str = JSON_TYPE
    replayed: bool = False
    headers: tuple[tuple[str, str], ...] = ()


def took_us(started_ns: int) -> int:
    """Return the microseconds since `started_ns` on the performance clock."""
    return (time.perf_counter_ns() - started_ns) // 1000


def problem_reply(problem: Problem) -> Reply:
    """Return what a door sends of a problem."""
    return Reply(problem.status, problem.body(), PROBLEM_TYPE, headers=tuple(problem.headers().items()))


def refusal(error: Problem | Malformed) -> Reply:
    """Return the answer to a check that was not understood or not permitted, and count it."""
    if isinstance(error, Malformed):
        metrics.count_result(Result.MALFORMED)
        return problem_reply(errors.malformed(error))
    metrics.count_result(_result_of(error))
    return problem_reply(error)


def failure(what: str) -> Reply:
    """Return the answer to a check that ran into an error of ours, which is logged: nothing is approved."""
    logger.exception("%s failed", what)
    return refusal(Problem(500, "internal_error", "this is an error of ours, and it was logged"))


def _result_of(problem: Problem) -> Result:
    if problem.status >= 500:
        return Result.UNAVAILABLE
    return Result.DENIED if problem.status in (401, 403, 429) else Result.MALFORMED


# --------------------------------------------------------------------------------------------- one order
def check_order(
    body: bytes, key: KeyRecord, store: Store, turns: ThreadTurns, started_ns: int, pull: Pull | None = None
) -> Reply:
    """Answer a check from a thread. Raises Malformed, and Problem where the key may not ask.

    `pull` brings what deciding needs into the store, where providers are configured.
    """
    order = _wanted_order(key, body)
    if pull is not None:
        pull.bring((order,))
    try:
        with turns.of(order.account_id):
            (answered,) = run_sync(check_steps((order,), new_id=new_decision_id, known=BOOKS.last), store, BOOKS)
    except StateUnavailable:
        return _undecided((order,), started_ns)
    return _order_reply(answered, started_ns)


async def check_order_async(
    body: bytes, key: KeyRecord, store: AsyncStore, turns: TaskTurns, started_ns: int, pull: Pull | None = None
) -> Reply:
    """Do as `check_order` does, in a task."""
    order = _wanted_order(key, body)
    if pull is not None:
        await pull.bring_in_task((order,))
    try:
        async with turns.of(order.account_id):
            steps = check_steps((order,), new_id=new_decision_id, known=BOOKS.last)
            (answered,) = await run_async(steps, store, BOOKS)
    except StateUnavailable:
        return _undecided((order,), started_ns)
    return _order_reply(answered, started_ns)


def _wanted_order(key: KeyRecord, body: bytes) -> Order:
    if not key.may(CHECK_ORDERS):
        raise errors.not_allowed(CHECK_ORDERS)
    order = read_order(body)
    if not key.may_see(order.account_id):
        raise errors.not_this_account(order.account_id)
    return order


def _order_reply(answered: Answered, started_ns: int) -> Reply:
    took = took_us(started_ns)
    _count(answered)
    metrics.observe_us(took)
    body = with_time(answered.decision, took)
    if answered.reason in _UNDECIDED:
        return _with_blocks(errors.recovering(), body)
    return Reply(200, body, JSON_TYPE, answered.replayed)


# ----------------------------------------------------------------------------------------------- a batch
def check_batch(
    body: bytes, key: KeyRecord, store: Store, turns: ThreadTurns, started_ns: int, pull: Pull | None = None
) -> Reply:
    """Answer a batch, from a thread. Raises Malformed, and Problem where the key may not ask. `pull` as above."""
    batch = _wanted_batch(key, body)
    parts = _by_lane(batch, store)
    if pull is not None:
        pull.bring(batch.orders)
    answers: dict[int, Answered] = {}
    for places in parts:
        orders = tuple(batch.orders[place] for place in places)
        answers.update(zip(places, _decide_part(orders, batch.atomic, store, turns), strict=True))
    return _batch_reply([answers[place] for place in range(len(batch.orders))], started_ns)


def _wanted_batch(key: KeyRecord, body: bytes) -> BatchRequest:
    if not key.may(CHECK_ORDERS):
        raise errors.not_allowed(CHECK_ORDERS)
    batch = read_batch(body)
    for order in batch.orders if key.accounts else ():
        if not key.may_see(order.account_id):
            raise errors.not_this_account(order.account_id)
    return batch


def _by_lane(batch: BatchRequest, store: Store) -> list[list[int]]:
    """Return the places of a batch's orders lane by lane: only what is in one lane is decided in one step."""
    parts: dict[int, list[int]] = {}
    for place, order in enumerate(batch.orders):
        parts.setdefault(store.lane_of(order.account_id), []).append(place)
    if batch.atomic and len(parts) > 1:
        raise Malformed.of("atomic", "these accounts are kept in several lanes: send a batch for each", "conflict")
    return list(parts.values())


def _decide_part(orders: tuple[Order, ...], atomic: bool, store: Store, turns: ThreadTurns) -> list[Answered]:
    """Decide the orders of one lane, in their order; those of an atomic batch in one step, others a few at a time."""
    together = len(orders) if atomic else _TOGETHER
    answers: list[Answered] = []
    while len(answers) < len(orders):
        some = orders[len(answers) : len(answers) + together]
        steps = check_steps(some, new_id=new_decision_id, known=BOOKS.last, atomic=atomic)
        try:
            with turns.of_all(order.account_id for order in some):
                answers += run_sync(steps, store, BOOKS)
        except StateUnavailable:
            return answers + list(_blocks(orders[len(answers) :]))
    return answers


def _batch_reply(answers: Sequence[Answered], started_ns: int) -> Reply:
    took = took_us(started_ns)
    for answered in answers:
        _count(answered)
    metrics.observe_us(took)
    body = batch_reply(answers, took)
    if all(answered.reason in _UNDECIDED for answered in answers):
        lost = answers[0].reason is Reason.RECOVERING
        return _with_blocks(errors.recovering() if lost else errors.state_unavailable(), body)
    return Reply(200, body)


# ------------------------------------------------------------------------------------ nothing is decided
def unavailable_reply(problem: Problem, body: bytes, started_ns: int, *, batch: bool) -> Reply:
    """Return the answer while it is not even known who may ask: the block of what the body asks about, if anything."""
    try:
        orders = read_batch(body).orders if batch else (read_order(body),)
    except Malformed:
        return refusal(problem)
    blocks = _blocks(orders)
    return _batch_reply(blocks, started_ns) if batch else _undecided(orders, started_ns)


def busy_reply(body: bytes, started_ns: int) -> Reply:
    """Return the answer of a door that has as many checks under way as it bears: the block of the order, if it is one.

    No key is asked for: nothing is told but what the body says.
    """
    try:
        order = read_order(body)
    except Malformed as error:
        return refusal(error)
    return _undecided((order,), started_ns, errors.too_busy())


def _undecided(orders: tuple[Order, ...], started_ns: int, problem: Problem | None = None) -> Reply:
    (blocked,) = _blocks(orders)
    _count(blocked)
    body = with_time(blocked.decision, took_us(started_ns))
    return _with_blocks(problem or errors.state_unavailable(), body)


def _blocks(orders: tuple[Order, ...]) -> tuple[Answered, ...]:
    now_us = time.time_ns() // 1000
    return tuple(not_decided(order, Reason.STATE_UNAVAILABLE, now_us, new_decision_id) for order in orders)


def _with_blocks(problem: Problem, blocks: bytes) -> Reply:
    """Return blocks and problem details as one object: a client may read it as either."""
    body = blocks[:-1] + b"," + _encoder.encode(problem.members())[1:]
    return Reply(problem.status, body, PROBLEM_TYPE, headers=tuple(problem.headers().items()))


def _count(answered: Answered) -> None:
    if answered.order.what_if:
        metrics.count_result(Result.WHAT_IF)
    elif answered.replayed:
        metrics.count_result(Result.REPLAYED)
    elif answered.approved:
        metrics.count_approved()
    elif answered.reason in _UNDECIDED:
        metrics.count_undecided(answered.reason)
    elif answered.reason is not None:
        metrics.count_rejected(answered.reason)
