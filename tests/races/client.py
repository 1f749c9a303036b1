"""A client that keeps one connection open, and a storm of many of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from devtools.ports import HOST

_ANSWER_S = 60.0


@dataclass(frozen=True)
class Door:
    """Where to ask: a port, and what comes before every path there."""

    port: int
    prefix: str = ""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def decision(self) -> dict[str, Any]:
        """The decision in the body; a test asks for it where there must be one."""
        decision: dict[str, Any] = msgspec.json.decode(self.body)
        assert "approved" in decision, (self.status, self.body)
        return decision

    def json(self) -> Any:
        """Return what the body says."""
        return msgspec.json.decode(self.body)

    @property
    def approved(self) -> bool:
        return self.decision["approved"] is True

    @property
    def replayed(self) -> bool:
        """Whether the door says that it gave an earlier answer again."""
        return self.headers.get("idempotency-replayed") == "true"


class Gone(Exception):
    """The server hung up before the answer was whole."""


class Asks(Protocol):
    """Whoever can ask whether an order may go."""

    async def check(self, order: Mapping[str, object]) -> Answer:
        """Return the answer. Raises Gone where there is none."""
        ...


class Client:
    """One connection to a door; one request after the other."""

    def __init__(self, door: Door, key: str) -> None:
        self._door, self._key = door, key
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def connect(self) -> None:
        """Open the connection. Raises Gone where nobody listens."""
        try:
            self._line = await asyncio.open_connection(HOST, self._door.port)
        except OSError as error:
            raise Gone(str(error)) from error

    async def ask(self, method: str, path: str, body: object) -> Answer:
        """Send a request and return the answer. Raises Gone."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await self._ask(method, path, msgspec.json.encode(body))
        except (OSError, EOFError) as error:
            raise Gone(str(error) or "hung up") from error

    async def check(self, order: Mapping[str, object]) -> Answer:
        """Ask whether an order may go. Raises Gone."""
        return await self.ask("POST", "/risk/check", order)

    async def close(self) -> None:
        if self._line is not None:
            self._line[1].close()

    async def _ask(self, method: str, path: str, content: bytes) -> Answer:
        assert self._line is not None, "connect first"
        reader, writer = self._line
        head = (
            f"{method} {self._door.prefix}{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self._key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        writer.write(head.encode() + content)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        body = await reader.readexactly(int(headers["content-length"]))
        return Answer(int(lines[0].split()[1]), headers, body)


@asynccontextmanager
async def connected(doors: Iterable[Door], key: str) -> AsyncIterator[list[Client]]:
    """Open a connection to each of the doors, all of them before the first is used."""
    clients = [Client(door, key) for door in doors]
    try:
        await asyncio.gather(*(client.connect() for client in clients))
        yield clients
    finally:
        for client in clients:
            await client.close()


async def at_once(clients: Sequence[Asks], orders: Sequence[Mapping[str, object]]) -> list[Answer]:
    """Let every client send its order at the same time."""
    return list(await asyncio.gather(*(client.check(order) for client, order in zip(clients, orders, strict=True))))


@dataclass
class Storm:
    """Clients that ask one order after the other until they are told to stop, or their server is gone.

    `order` makes the `number`-th order of a client. `answers` has every answer by its order_id, `unanswered`
    the orders whose connection broke before there was one.
    """

    order: Callable[[int, int], dict[str, object]]
    answers: dict[str, Answer] = field(default_factory=dict)
    unanswered: list[dict[str, object]] = field(default_factory=list)
    _answered: asyncio.Condition = field(default_factory=asyncio.Condition)
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self, clients: Sequence[Asks]) -> None:
        """Let the clients begin."""
        self._tasks = [asyncio.create_task(self._ask(number, client)) for number, client in enumerate(clients)]

    async def go_on(self, answers: int) -> None:
        """Wait until there are so many more answers."""
        wanted = len(self.answers) + answers
        async with asyncio.timeout(_ANSWER_S), self._answered:
            await self._answered.wait_for(lambda: len(self.answers) >= wanted)

    async def end(self) -> None:
        """Let every client finish the order that it is asking about."""
        self._over.set()
        await asyncio.gather(*self._tasks)

    async def _ask(self, place: int, client: Asks) -> None:
        number = 0
        while not self._over.is_set():
            order = self.order(place, number)
            number += 1
            try:
                answer = await client.check(order)
            except Gone:
                self.unanswered.append(order)
                return
            self.answers[str(order["order_id"])] = answer
            async with self._answered:
                self._answered.notify_all()
