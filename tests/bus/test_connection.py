"""What every connection does, over NATS or inside the process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from bus.connection import Connection, Message, says_nobody_listens
from bus.local import Broker, LocalConnection, LocalMessage
from bus.nats import NatsConnection
from devtools.nats_server import NatsServer
from tests.support.patience import PATIENCE_S, eventually

Connect = Callable[[], Connection]


@pytest.fixture(params=["nats", "local"])
async def connect(request) -> AsyncIterator[Connect]:
    """Call it for a connection that is not started yet; all are closed in the end."""
    made: list[Connection] = []
    broker = Broker()
    server: NatsServer | None = request.getfixturevalue("nats_server") if request.param == "nats" else None

    def new() -> Connection:
        made.append(NatsConnection(server.url, name="test") if server else LocalConnection(broker))
        return made[-1]

    yield new
    for each in made:
        await each.close()


class Heard:
    """What a handler was given."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def hear(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def payloads(self) -> list[bytes]:
        return [each.data for each in self.messages]

    async def until(self, count: int) -> list[bytes]:
        await eventually(lambda: len(self.messages) >= count, f"{count} messages")
        return self.payloads


async def up(connection: Connection) -> Connection:
    connection.start()
    async with asyncio.timeout(PATIENCE_S):
        await connection.until_up()
    return connection


async def hearing(connect: Connect, *subjects: str, queue: str = "") -> tuple[Connection, Heard]:
    connection, heard = connect(), Heard()
    for subject in subjects:
        connection.subscribe(subject, heard.hear, queue=queue)
    return await up(connection), heard


async def test_before_the_start_nothing_is_sent(connect):
    connection = connect()
    assert not connection.is_up
    assert connection.most_bytes == 0
    assert not await connection.publish("news", b"lost")
    assert not await connection.flush()


async def test_what_is_too_long_is_not_sent(connect):
    connection, heard = await hearing(connect, "news")
    assert not await connection.publish("news", bytes(connection.most_bytes + 1))
    assert await connection.publish("news", bytes(connection.most_bytes))
    assert [len(each) for each in await heard.until(1)] == [connection.most_bytes]


async def test_a_message_comes_as_it_was_sent(connect):
    connection, heard = await hearing(connect, "news")
    assert await connection.publish("news", b"hello", reply="_INBOX.me", headers={"Kind": "test"})
    await heard.until(1)
    (message,) = heard.messages
    assert (message.subject, message.reply, message.data) == ("news", "_INBOX.me", b"hello")
    assert message.headers == {"Kind": "test"}


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("market.tick.>", ["market.tick.BTC", "market.tick.A.B"]),
        ("market.*.BTC", ["market.tick.BTC", "market.bar.BTC"]),
        ("market.tick.BTC", ["market.tick.BTC"]),
    ],
)
async def test_a_pattern_stands_for_subjects(connect, pattern, meant):
    connection, heard = await hearing(connect, pattern)
    _, all_heard = await hearing(connect, "market.>")
    for subject in ("market.tick", "market.tick.BTC", "market.bar.BTC", "market.tick.A.B"):
        await connection.publish(subject, subject.encode())
    await all_heard.until(4)
    await connection.flush()
    assert sorted(await heard.until(len(meant))) == sorted(each.encode() for each in meant)


async def test_all_hear_it_and_of_a_queue_one(connect):
    _, alone = await hearing(connect, "work")
    together = [(await hearing(connect, "work", queue="workers"))[1] for _ in range(3)]
    sender = await up(connect())
    for number in range(30):
        await sender.publish("work", b"%d" % number)
    await alone.until(30)
    await eventually(lambda: sum(len(each.messages) for each in together) >= 30, "all to be worked at")
    shared = sorted(payload for each in together for payload in each.payloads)
    assert shared == sorted(alone.payloads), "each once"


async def test_messages_come_in_their_order_one_after_the_other(connect):
    under_way = most = 0
    order: list[int] = []

    async def slowly(message: Message) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        order.append(int(message.data))
        under_way -= 1

    connection = connect()
    connection.subscribe("work", slowly)
    await up(connection)
    for number in range(20):
        await connection.publish("work", b"%d" % number)
    await eventually(lambda: len(order) == 20, "all of them")
    assert order == list(range(20))
    assert most == 1


async def test_who_asks_where_nobody_listens_is_told_so(connect):
    connection, heard = await hearing(connect, "_INBOX.me.*")
    await connection.publish("execution.cancel_all", b"{}", reply="_INBOX.me.1")
    await heard.until(1)
    assert says_nobody_listens(heard.messages[0])
    assert heard.messages[0].subject == "_INBOX.me.1"


async def test_a_handler_that_fails_hears_the_next_message(connect):
    connection, heard = connect(), Heard()

    async def fail_once(message: Message) -> None:
        await heard.hear(message)
        if message.data == b"bad":
            raise RuntimeError("cannot be handled")

    connection.subscribe("news", fail_once)
    await up(connection)
    await connection.publish("news", b"bad")
    await connection.publish("news", b"good")
    assert await heard.until(2) == [b"bad", b"good"]


async def test_what_was_under_way_is_handled_before_it_hears_no_more(connect):
    handled: list[bytes] = []

    async def slowly(message: Message) -> None:
        await asyncio.sleep(0.002)
        handled.append(message.data)

    connection = connect()
    connection.subscribe("work", slowly)
    await up(connection)
    for number in range(20):
        await connection.publish("work", b"%d" % number)
    await connection.flush()
    await connection.stop_hearing()
    assert len(handled) == 20
    await connection.publish("work", b"late")
    await connection.flush()
    await asyncio.sleep(0.02)
    assert len(handled) == 20


async def test_a_closed_connection_hears_and_sends_nothing(connect):
    connection, heard = await hearing(connect, "news")
    await connection.close()
    assert not connection.is_up
    assert not await connection.publish("news", b"lost")
    sender = await up(connect())
    await sender.publish("news", b"unheard")
    await sender.flush()
    await asyncio.sleep(0.02)
    assert heard.payloads == []


async def test_inside_the_process_any_thread_may_publish():
    broker, heard = Broker(), Heard()
    connection = LocalConnection(broker)
    connection.subscribe("news", heard.hear)
    connection.start()

    def send() -> None:
        for _ in range(200):
            broker.publish(LocalMessage("news", b"x"))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for each in threads:
        each.start()
    assert len(await heard.until(800)) == 800
    for each in threads:
        each.join()
    await connection.close()


async def test_inside_the_process_whoever_lives_has_what_was_for_one_that_died():
    broker, heard = Broker(), Heard()

    def die() -> None:
        async def begin() -> None:
            dead = LocalConnection(broker)
            dead.subscribe("work", Heard().hear, queue="workers")
            dead.start()

        asyncio.run(begin())

    await asyncio.to_thread(die)
    living = LocalConnection(broker)
    living.subscribe("work", heard.hear, queue="workers")
    living.start()
    for number in range(4):
        broker.publish(LocalMessage("work", b"%d" % number))
    assert await heard.until(4) == [b"0", b"1", b"2", b"3"]
    await living.close()


async def test_inside_the_process_a_handler_that_never_returns_does_not_hold_up_the_end(monkeypatch):
    monkeypatch.setattr("bus.local._LAST_WORDS_S", 0.05)
    connection = LocalConnection(Broker())

    async def never(_message: Message) -> None:
        await asyncio.Event().wait()

    connection.subscribe("work", never)
    connection.start()
    await connection.publish("work", b"x")
    before = len(asyncio.all_tasks())
    await connection.stop_hearing()
    await connection.close()
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) < before


def test_a_loop_that_has_ended_without_a_word_holds_up_nobody():
    broker, heard = Broker(), Heard()

    async def begin() -> None:
        connection = LocalConnection(broker)
        connection.subscribe("news", heard.hear)
        connection.start()

    asyncio.run(begin())
    broker.publish(LocalMessage("news", b"x"))
    assert heard.payloads == []
