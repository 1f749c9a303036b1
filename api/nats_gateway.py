"""The NATS door: order checks by request and reply, each in a task of its own.

A request is the body of SPEC 3 with the API key in a header, `Authorization: Bearer KEY`; the reply has the body that
the HTTP doors give. Where HTTP would say so by its status, the reply says it in the headers that NATS services use.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from api import checks, errors, metrics
from api.checks import Reply
from api.errors import Problem
from api.metrics import Result
from api.task_desk import TaskDesk
from api.wire import MOST_BATCH_BYTES, MOST_CHECK_BYTES
from bus.connection import Connection, Message
from bus.publish import failures
from feeds.malformed import Malformed

logger = logging.getLogger(__name__)

CHECK, BATCH = "risk.check.order", "risk.check.batch"

# The gateways share the requests: each goes to one of them.
QUEUE = "risk.gateway"

# Under way at a time in one process; further ones are refused at once. A core answers some thousand checks a second, so
# that nobody waits longer for his turn than a requester has patience. Of batches, as many work as there are threads.
MOST_CHECKS = 256
MOST_BATCHES = 8

# Where answers may go: to the inboxes that clients make. Anything else would let whoever may ask make us publish
# anywhere, with our rights.
INBOX = "_INBOX"

# The headers of an answer that is no decision, or is a block because nothing could be decided: status, and its name.
STATUS_HEADER, PHRASE_HEADER = "Nats-Service-Error-Code", "Nats-Service-Error"
_REPLAYED = {"Idempotency-Replayed": "true"}


class Gateway:
    """Answers the requests on a connection; make it before the connection is started.

    Parameters
    ----------
    connection
        Where to hear and answer.
    most_checks, most_batches
        How many may be under way before further ones are refused.
    """

    def __init__(
        self, connection: Connection, *, most_checks: int = MOST_CHECKS, most_batches: int = MOST_BATCHES
    ) -> None:
        self._connection = connection
        self._desk = TaskDesk()
        self._most_checks, self._most_batches = most_checks, most_batches
        self._checks: set[asyncio.Task[None]] = set()
        self._batches: set[asyncio.Task[None]] = set()
        connection.subscribe(CHECK, self._hear_check, queue=QUEUE)
        connection.subscribe(BATCH, self._hear_batch, queue=QUEUE)

    async def drain(self, within_s: float) -> int:
        """Take no more requests, answer those that were taken, and return how many could not be in time."""
        await self._connection.stop_hearing()
        under_way = self._checks | self._batches
        if under_way:
            await asyncio.wait(under_way, timeout=within_s)
        await self._connection.flush()
        return len(self._checks | self._batches)

    async def _hear_check(self, message: Message) -> None:
        started_ns = time.perf_counter_ns()
        if len(self._checks) >= self._most_checks and message.reply.startswith(INBOX):
            await self._send(message, checks.busy_reply(message.data, started_ns))
            return
        _begin(self._serve(message, started_ns, batch=False), self._checks)

    async def _hear_batch(self, message: Message) -> None:
        started_ns = time.perf_counter_ns()
        if len(self._batches) >= self._most_batches and message.reply.startswith(INBOX):
            # Without its blocks: to read a thousand orders and block each takes what there is too little of.
            await self._send(message, checks.refusal(errors.too_busy()))
            return
        _begin(self._serve(message, started_ns, batch=True), self._batches)

    async def _serve(self, message: Message, started_ns: int, *, batch: bool) -> None:
        if not message.reply.startswith(INBOX):
            # Nobody would hear the answer, and what it approves would be held for nothing.
            metrics.count_result(Result.MALFORMED)
            return
        try:
            body = partial(_body, message, MOST_BATCH_BYTES if batch else MOST_CHECK_BYTES)
            reply = await self._desk.answer(_authorization(message.headers), body, started_ns, batch=batch)
        except (Problem, Malformed) as error:
            reply = checks.refusal(error)
        except Exception:
            reply = checks.failure("a check")
        await self._send(message, reply)

    async def _send(self, message: Message, reply: Reply) -> None:
        """Answer. Where NATS has gone meanwhile the requester asks again, and gets the same decision."""
        most_bytes = self._connection.most_bytes
        if 0 < most_bytes < len(reply.body):
            reply = checks.problem_reply(errors.answer_too_large(most_bytes))
        if not await self._connection.publish(message.reply, reply.body, headers=_headers(reply)):
            failures.inc()


def _begin(work: Coroutine[Any, Any, None], under_way: set[asyncio.Task[None]]) -> None:
    task = asyncio.get_running_loop().create_task(work)
    under_way.add(task)
    task.add_done_callback(under_way.discard)


async def _body(message: Message, most_bytes: int) -> bytes:
    if len(message.data) > most_bytes:
        raise errors.too_large(most_bytes)
    return message.data


def _authorization(headers: Mapping[str, str] | None) -> str:
    """Return the header, in whichever case its name is written."""
    if not headers:
        return ""
    found = headers.get("Authorization")
    if found is None:
        found = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
    return found


def _headers(reply: Reply) -> dict[str, str] | None:
    """Return the headers of an answer, None for a plain one: most are, and those travel lighter."""
    if reply.status == HTTPStatus.OK:
        return _REPLAYED if reply.replayed else None
    return {
        STATUS_HEADER: str(reply.status),
        PHRASE_HEADER: HTTPStatus(reply.status).phrase,
        **dict(reply.headers),
    }
