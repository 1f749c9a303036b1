"""The connection: it comes back by itself, and never fails or holds up its user."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bus.nats import NatsConnection, reconnects
from devtools.nats_server import NatsServer
from devtools.ports import HOST
from tests.bus.conftest import Listener
from tests.support.patience import PATIENCE_S, eventually


async def up(connection: NatsConnection) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await connection.until_up()


@pytest.fixture
async def sender(connect) -> NatsConnection:
    found: NatsConnection = connect()
    found.start()
    await up(found)
    return found


def counted() -> float:
    return float(reconnects._value.get())


async def test_what_is_published_is_heard(sender, listener):
    assert await sender.publish("news", b"hello", headers={"Kind": "test"})
    assert await listener.until(bool) == [b"hello"]


async def test_what_was_flushed_has_come_to_the_server(sender):
    await sender.publish("news", b"hello")
    assert await sender.flush()


async def test_a_server_that_is_not_there_at_the_start_is_waited_for(server, connect):
    server.stop()
    connection = connect()
    connection.start()
    async with asyncio.timeout(PATIENCE_S):
        await connection.until_tried()
    assert not connection.is_up
    assert not await connection.publish("news", b"lost")
    assert not await connection.flush()
    await asyncio.to_thread(server.start)
    await up(connection)
    assert await connection.flush()


@pytest.mark.parametrize("times", [1, 3])
async def test_a_subscription_holds_over_breaks(server, sender, listener, times):
    before = counted()
    for number in range(times):
        await asyncio.to_thread(server.kill)
        await eventually(lambda: not sender.is_up, "the break")
        await asyncio.to_thread(server.start)
        due = before + 2 * number + 2
        await eventually(lambda due=due: counted() >= due, "both connections")  # type: ignore[misc]
        await sender.publish("news", b"%d" % number)
        await listener.until(lambda came, number=number: b"%d" % number in came)
    assert listener.payloads == [b"%d" % number for number in range(times)]


async def test_the_first_connection_is_no_reconnect(connect):
    before = counted()
    connection = connect()
    connection.start()
    await up(connection)
    assert counted() == before


async def test_a_server_that_says_nothing_any_more_is_given_up(server, sender):
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        await eventually(lambda: not sender.is_up, "that it does not answer")
    finally:
        os.kill(server.pid, signal.SIGCONT)
    await up(sender)
    assert await sender.flush()


async def test_a_server_that_has_much_to_say_is_not_taken_for_dead(connect, monkeypatch):
    """What it says before it answers a ping takes several heartbeats."""
    monkeypatch.setattr("bus.nats.HEARTBEAT_S", 0.2)
    listener = Listener()
    async with talking_server(messages=50, pause_s=0.02) as url:
        connection = connect(url)
        connection.subscribe("news", listener.hear)
        connection.start()
        await up(connection)
        assert await connection.flush()
        assert len(listener.payloads) >= 50
        assert connection.is_up


@asynccontextmanager
async def talking_server(messages: int, pause_s: float) -> AsyncIterator[str]:
    """A server that sends so many messages before it answers a ping, but for the two of the beginning."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"max_payload":1000000,"headers":true}\r\n')
        pings = 0
        while line := await reader.readline():
            pings += line == b"PING\r\n"
            if line != b"PING\r\n":
                continue
            for _ in range(messages if pings > 2 else 0):
                writer.write(b"MSG news 1 1\r\nx\r\n")
                await asyncio.sleep(pause_s)
            writer.write(b"PONG\r\n")
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield f"nats://{HOST}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_a_server_that_does_not_read_holds_nobody_up(server, sender):
    """More is written than all buffers hold; the server reads nothing of it."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while await sender.publish("news", bytes(1_000_000)):
                pass
    finally:
        os.kill(server.pid, signal.SIGCONT)
    await up(sender)


async def test_a_server_that_refuses_us_is_asked_again(server, connect):
    password = server.url.split(":")[2].split("@")[0]
    connection = connect(server.url.replace(password, "wrong"))
    connection.start()
    async with asyncio.timeout(PATIENCE_S):
        await connection.until_tried()
    assert not connection.is_up
    connection._servers = [server.url]  # as if its administrator had let us in
    await up(connection)


async def test_one_server_of_several_is_enough(server, connect):
    free = socket.create_server((HOST, 0))
    port = free.getsockname()[1]
    free.close()
    connection = connect(f"nats://{HOST}:{port},{server.url}")
    connection.start()
    await up(connection)


async def test_a_message_that_is_too_long_is_not_sent_and_breaks_nothing(sender):
    assert sender.most_bytes > 7_000_000
    assert not await sender.publish("news", bytes(sender.most_bytes + 1))
    assert await sender.flush()


async def test_of_a_queue_one_gets_each_message(server, connect, sender):
    both = [Listener(), Listener()]
    for listener in both:
        connection = connect()
        connection.subscribe("work", listener.hear, queue="workers")
        connection.start()
        await up(connection)
    for number in range(200):
        await sender.publish("work", b"%d" % number)
    await eventually(lambda: sum(len(each.payloads) for each in both) >= 200, "all messages")
    assert sorted(int(each) for one in both for each in one.payloads) == list(range(200))
    assert all(each.payloads for each in both)


async def test_when_hearing_stops_what_has_come_is_handed_over_and_nothing_else(connect, sender):
    heard, connection = list[bytes](), connect()

    async def hear_slowly(message) -> None:
        await asyncio.sleep(0.001)
        heard.append(message.data)

    connection.subscribe("news", hear_slowly)
    connection.start()
    await up(connection)
    sent = [b"%d" % number for number in range(200)]
    for each in sent:
        await sender.publish("news", each)
    await sender.flush()
    await connection.stop_hearing()
    assert heard == sent
    await sender.publish("news", b"late")
    await sender.flush()
    assert await connection.flush()
    assert heard == sent


@pytest.mark.parametrize(
    ("reply", "headers"),
    [
        (b"", b"NATS/1.0"),
        (b"", b"NATS/1.0 \xff\xff\xff\r\n\r\n"),
        (b"", b"N"),
        (b"", b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7\xf6"),
        (b"\xff\xfe", b"NATS/1.0\r\n\r\n"),
        (b"", b"NATS/1.0\r\n\xff: a\r\nb\r\n:\r\nc: \xff\r\n\r\n"),
    ],
)
async def test_a_message_that_cannot_be_read_does_not_end_the_reading(server: NatsServer, listener, reply, headers):
    await asyncio.to_thread(
        send_raw, server, b"HPUB news %b %d %d\r\n%b\r\n" % (reply, len(headers), len(headers), headers)
    )
    await asyncio.to_thread(send_raw, server, b"PUB news 4\r\nnext\r\n")
    assert (await listener.until(lambda came: b"next" in came))[-1] == b"next"


def send_raw(server: NatsServer, command: bytes) -> None:
    """Send what no client would."""
    password = server.url.split(":")[2].split("@")[0]
    connect = b'CONNECT {"user":"riskportal","pass":"%b","verbose":false,"headers":true}\r\n' % password.encode()
    with socket.create_connection((HOST, server.port), 5.0) as line, line.makefile("rb") as said:
        said.readline()
        line.sendall(connect + command + b"PING\r\n")
        assert said.readline().strip() == b"PONG"
