"""The line over a bus, NATS or the process's own: feeds are published, orders asked about, and stops seen through.

A bus keeps nothing, and says nothing where nobody listens. So whatever must not be lost is published with a way back:
an answer comes there where a subject has no listener, and it is told again when it has.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from bus.connection import Connection, Message, says_nobody_listens
from simulator.amounts import text
from simulator.desks import Statement
from simulator.line import STATE_EVERY_S, TIMEOUT_S, Away, decision_of, positions
from simulator.market import Quote
from simulator.orders import Event, Fill

CHECK = "risk.check.order"
TICKS = "market.tick"
FILLS, CLOSED = "fills.confirmed", "orders.closed"
POSITIONS, PNL = "positions.update", "pnl.update"
PROGRESS = "execution.progress"

# Answers go to inboxes alone, as riskportal's own do: nobody makes us publish elsewhere.
_INBOX = "_INBOX"

# How a NATS service says that an answer is none, and how the server says that nobody listens.
_STATUS = "Nats-Service-Error-Code"

# The first snapshots of a life have no numbers, so that its numbers need not go on from those of the one before. Where
# they are lost the later ones are above those all the same: they count from how many there could have been since 1970.
_UNNUMBERED = 3

Answer = Callable[[str, bytes], Awaitable[Mapping[str, Any] | None]]


class BusLine:
    """Publishes on a connection that was not started yet, and asks there with an API key that may check."""

    quote_every_s = 0.1

    def __init__(self, connection: Connection, key: str) -> None:
        self._connection = connection
        self._headers = {"Authorization": f"Bearer {key}"}
        self._inbox = f"{_INBOX}_simulator_{secrets.token_hex(8)}"
        self._count = 0
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        self._unheard: set[str] = set()
        self._telling = asyncio.Lock()
        self._begun = int(time.time() / STATE_EVERY_S)
        self._snapshots: Counter[str] = Counter()
        self._connection.subscribe(f"{self._inbox}.*", self._hear)

    def serve(self, subject: str, answer: Answer) -> None:
        """Let `answer` have every request on a subject; None is not sent. Call it before the start."""

        async def hear(message: Message) -> None:
            found = await answer(subject, message.data)
            if found is not None and message.reply.startswith(_INBOX):
                await self._connection.publish(message.reply, _encoded(found))

        self._connection.subscribe(subject, hear)

    # ------------------------------------------------------------------------------------------ what is told
    async def quotes(self, quotes: Sequence[Quote], now_us: int) -> None:
        """Publish every quote; one that is lost is soon followed by the next."""
        for quote in quotes:
            tick = {
                "symbol": quote.symbol,
                "price": text(quote.mid),
                "bid": text(quote.bid),
                "ask": text(quote.ask),
                "timestamp": now_us,
            }
            if not await self._connection.publish(f"{TICKS}.{quote.symbol}", _encoded(tick)):
                raise Away(_GONE)

    async def state(self, statement: Statement, now_us: int) -> None:
        """Publish a snapshot of an account's positions and money, under its next number."""
        self._snapshots[statement.account_id] += 1
        number = self._snapshots[statement.account_id]
        common: dict[str, Any] = {"account_id": statement.account_id, "timestamp": now_us}
        if number > _UNNUMBERED:
            common["sequence"] = self._begun + number
        money = {
            "equity": text(statement.equity),
            "balance": text(statement.balance),
            "margin_used": text(statement.margin_used),
            "realized_pnl": text(statement.realized),
            "unrealized_pnl": text(statement.unrealized),
        }
        held = {**common, "positions": positions(statement)}
        await self._tell([(POSITIONS, _encoded(held)), (PNL, _encoded({**common, **money}))])

    async def events(self, events: Sequence[Event], statement: Statement, now_us: int) -> None:
        """Publish fills and ends of orders, each with the time when it happened."""
        await self._tell([_message(event) for event in events])

    async def progress(self, progress: Mapping[str, Any]) -> None:
        """Publish how far an execution has come, whether anybody listens or not."""
        if not await self._connection.publish(PROGRESS, _encoded(progress)):
            raise Away(_GONE)

    # ------------------------------------------------------------------------------------------ what is asked
    async def check(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Ask whether an order may go, and return the decision."""
        answer = await self._ask(CHECK, _encoded(order), self._headers)
        headers = answer.headers or {}
        if says_nobody_listens(answer):
            raise Away(f"nobody answers on {CHECK}: no gateway is connected to NATS")
        return decision_of(int(headers.get(_STATUS, "200")), answer.data)

    async def __aenter__(self) -> Self:
        self._connection.start()
        await self._connection.until_tried()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

    # ---------------------------------------------------------------------------------------------------------
    async def _ask(self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None) -> Message:
        """Send a message, and return the first one that comes back. Raises Away."""
        token = self._token()
        answer = self._waiting[token] = asyncio.get_running_loop().create_future()
        try:
            if not await self._connection.publish(subject, payload, reply=f"{self._inbox}.{token}", headers=headers):
                raise Away(_GONE)
            return await asyncio.wait_for(answer, TIMEOUT_S)
        except TimeoutError:
            raise Away(f"no answer from {subject} within {TIMEOUT_S:.0f} s") from None
        finally:
            del self._waiting[token]

    async def _tell(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publish messages in this order. Raises Away where NATS does not have them all, or one has no listener.

        What the server says of messages without a listener comes before the message that we send to ourselves last.
        """
        async with self._telling:
            self._unheard.clear()
            subjects = {}
            for subject, payload in messages:
                token = self._token()
                subjects[token] = subject
                if not await self._connection.publish(subject, payload, reply=f"{self._inbox}.{token}"):
                    raise Away(_GONE)
            token = self._token()
            answer = self._waiting[token] = asyncio.get_running_loop().create_future()
            try:
                await self._connection.publish(f"{self._inbox}.{token}", b"")
                await asyncio.wait_for(answer, TIMEOUT_S)
            except TimeoutError:
                raise Away("NATS does not answer") from None
            finally:
                del self._waiting[token]
            unheard = {subjects[token] for token in self._unheard & subjects.keys()}
        if unheard:
            raise Away(f"nobody listens on {', '.join(sorted(unheard))}: no feeds process is connected to NATS")

    async def _hear(self, message: Message) -> None:
        token = message.subject.rpartition(".")[2]
        waiting = self._waiting.get(token)
        if waiting is None:
            self._unheard.add(token)
        elif not waiting.done():
            waiting.set_result(message)

    def _token(self) -> str:
        self._count += 1
        return str(self._count)


_GONE = "NATS cannot be reached"


def _message(event: Event) -> tuple[str, bytes]:
    common = {"account_id": event.account_id, "order_id": event.order_id, "timestamp": event.at_us}
    if not isinstance(event, Fill):
        return CLOSED, _encoded({**common, "status": str(event.end)})
    fill = {
        "fill_id": event.fill_id,
        "symbol": event.symbol,
        "side": event.side,
        "quantity": text(event.quantity),
        "price": text(event.price),
        "fee": text(event.fee),
    }
    return FILLS, _encoded({**common, **fill})


def _encoded(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode()
