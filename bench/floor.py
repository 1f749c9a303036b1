"""The floor: HTTP in Python that makes the same two Redis trips and does nothing else.

    python -m bench.floor PORT

uvloop, httptools, the pipelining connection of `state/`, and the product's own two scripts on the records of the
product's own accounts. Nothing is decoded, decided, encoded or admitted: what a door costs above this is the check.

Each request works on an account that no other request is using, so each of its commits is written, as nearly all
commits of a door are; and each commit adds a reservation and takes the account's last one away.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any, TypeAlias, cast

import httptools
import msgspec
import uvloop
from msgspec.structs import replace

from bench import world
from bench.sample import Sample, take_sample
from devtools.ports import HOST
from riskcore.ports import Commit, Control, Load
from state import keys
from state.redis_codec import encode_commit, encode_load
from state.redis_pipeline import RedisPipeline
from state.redis_scripts import COMMIT, LOAD, Script
from state.redis_wire import Argument, pack

# What changes from request to request stands in what is packed as one of these. An order_id may be part of a longer
# text, so that its mark is as long as it is.
_ORDER, _LAST_ORDER = "~order~this~number~", "~order~last~number~"
_VERSION = 777_000_111

_NEVER_US = 2**52

Values: TypeAlias = dict[bytes, bytes]

_pack = msgspec.msgpack.Encoder().encode


class Command:
    """A script with its arguments, ready but for the marks in its packed ones, which come first."""

    def __init__(self, script: Script, packed: Sequence[bytes], others: Sequence[Argument] = ()) -> None:
        self._head = ("EVALSHA", script.digest, 1, keys.prefix(0))
        self._packed, self._others = packed, others

    def with_values(self, values: Values) -> bytes:
        """Return the command as it travels."""
        packed = self._packed
        for mark, value in values.items():
            packed = [part.replace(mark, value) for part in packed]
        return pack((*self._head, *packed, *self._others))


class Account:
    """One account and the commands of its next request."""

    def __init__(self, account_id: str, sample: Sample) -> None:
        self._id, self._number, self._sample = account_id, 0, sample
        self._asked = _load_of(account_id, sample)
        self._load = Command(LOAD, [encode_load(self._asked)])
        self._control: list[bytes] = []
        self._commits: dict[bool, Command] = {}  # whether the account's last order is taken away

    def load(self) -> bytes:
        """Return the next load, for an order_id that was never used."""
        self._number += 1
        return self._load.with_values({_ORDER.encode(): self._order_id(0)})

    def commit(self, loaded: list[Any]) -> bytes:
        """Return the commit that follows what a load found."""
        if loaded[1:4] != self._control:
            self._expect(loaded[1:4])
        version = int(loaded[8][0])
        # The report of its state is an account's first version: nothing is reserved yet.
        return self._commits[version > 1].with_values(
            {
                _ORDER.encode(): self._order_id(0),
                _LAST_ORDER.encode(): self._order_id(1),
                _pack(str(_VERSION)): _pack(str(version)),
                _pack(str(_VERSION + 1)): _pack(str(version + 1)),
            }
        )

    def _expect(self, control: list[bytes]) -> None:
        """Make the commits for a control that was not met before."""
        generation, epoch, book = control
        self._control = control
        expected = Control(generation=generation.decode(), epoch=int(epoch), book_version=int(book))
        for last in (False, True):
            arguments = encode_commit(_commit_of(self._id, self._sample, self._asked, expected, last=last))
            self._commits[last] = Command(COMMIT, arguments[:2], arguments[2:])

    def _order_id(self, before: int) -> bytes:
        return f"{self._id}-{self._number - before:0{len(_ORDER) - len(self._id) - 1}d}".encode()


def _load_of(account_id: str, sample: Sample) -> Load:
    (query,) = sample.load.accounts
    return Load(accounts=(replace(query, account_id=account_id, order_ids=(_ORDER,), reservations=(_ORDER,)),))


def _commit_of(account_id: str, sample: Sample, load: Load, expected: Control, *, last: bool) -> Commit:
    """Return the sample's commit for another account, with marks; `last`: the last order's reservation goes."""
    (change,) = sample.commit.changes
    (added,), (answer,) = change.add, change.answers.values()
    held = replace(added, order_id=_ORDER, account_id=account_id, expires_at_us=_NEVER_US)
    changed = replace(
        change,
        account_id=account_id,
        expected_version=_VERSION,
        add=(held,),
        remove=(replace(held, order_id=_LAST_ORDER),) if last else (),
        answers={_ORDER: answer},
    )
    return Commit(
        expect=expected,
        changes=(changed,),
        journal=sample.commit.journal,
        reload=load,
    )


class Floor:
    """What all connections share."""

    def __init__(self, pipeline: RedisPipeline, sample: Sample) -> None:
        self._pipeline = pipeline
        self._idle = deque(Account(account_id, sample) for account_id in world.account_ids())
        body = b'%b,"processing_time_us":1000}' % sample.answered.decision[:-1]
        self._answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
            len(body),
            body,
        )

    async def answer(self) -> bytes:
        """Make the two trips."""
        account = self._idle.popleft()
        try:
            connection = self._pipeline.connection or await self._pipeline.connected()
            loaded = await connection.send(account.load(), 1.0)
            written = await connection.send(account.commit(loaded), 1.0)
        finally:
            self._idle.append(account)
        return self._answer if written == 1 else b"HTTP/1.1 500 Not written\r\ncontent-length: 0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One client. It sends a request, waits for the answer and sends the next."""

    def __init__(self, floor: Floor, loop: asyncio.AbstractEventLoop) -> None:
        self._floor, self._loop = floor, loop
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """The parser has seen a whole request."""
        answering: Coroutine[Any, Any, None] = self._respond()
        self._task = self._loop.create_task(answering)

    async def _respond(self) -> None:
        content = await self._floor.answer()
        if self._transport is not None:
            self._transport.write(content)


async def serve(port: int) -> None:
    """Serve the floor on 127.0.0.1 until the process is ended."""
    url = os.environ["REDIS_URL"]
    floor = Floor(RedisPipeline(url, timeout_s=5.0), take_sample(url))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(floor, loop), HOST, port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
