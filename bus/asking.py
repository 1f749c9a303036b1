"""Asking others over the bus, from any thread: requests that all go out together, and the first answer to each."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Struct

from bus.connection import Connection, Message, says_nobody_listens
from bus.wiring import new_connection

# What answers come to: NATS clients, and riskportal's own door, know inboxes by this name.
_INBOX = "_INBOX"

Request: TypeAlias = tuple[str, bytes]


class Unanswered(Struct, frozen=True):
    """There is no answer. `why` is for people: "nobody listens on execution.cancel_all"."""

    why: str


def ask_all(requests: Sequence[Request], *, within_s: float) -> list[bytes | Unanswered]:
    """Send requests, each a subject and a payload, and return the first answer to each, in their order.

    Over a connection of its own, which is closed in the end. Never raises because of the bus, and returns after
    about `within_s` seconds at the latest. For threads that run no event loop.
    """
    if not requests:
        return []
    connection = new_connection(f"riskportal asking {os.getpid()}")
    if connection is None:
        return [Unanswered("NATS_URL is not set")] * len(requests)
    return asyncio.run(_ask_all(connection, requests, within_s))


async def _ask_all(connection: Connection, requests: Sequence[Request], within_s: float) -> list[bytes | Unanswered]:
    inbox = f"{_INBOX}.{secrets.token_hex(11)}"
    answers = [asyncio.get_running_loop().create_future() for _ in requests]
    waiting: dict[str, asyncio.Future[bytes | Unanswered]] = {f"{inbox}.{n}": each for n, each in enumerate(answers)}

    async def hear(message: Message) -> None:
        answer = waiting.get(message.subject)
        if answer is not None and not answer.done():
            nobody = says_nobody_listens(message)
            answer.set_result(Unanswered("nobody listens") if nobody else message.data)

    connection.subscribe(f"{inbox}.*", hear)
    connection.start()
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await connection.until_tried()
                for (subject, payload), (reply, answer) in zip(requests, waiting.items(), strict=True):
                    if not await connection.publish(subject, payload, reply=reply):
                        answer.set_result(Unanswered("the bus is away" if not connection.is_up else "too long to send"))
                await asyncio.wait(answers)
    finally:
        await connection.close()
    late = Unanswered(f"no answer within {within_s:g} s")
    return [each.result() if each.done() else late for each in answers]
