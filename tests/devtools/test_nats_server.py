"""The private NATS server keeps its promises."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import nats
import nats.errors
import pytest

from devtools import leftovers
from devtools.nats_server import NatsServer
from devtools.processes import ServerError
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running() -> Iterator[NatsServer]:
    with NatsServer() as server:
        yield server


@pytest.fixture
def server(running: NatsServer) -> NatsServer:
    """A NATS server that runs, whatever the test before did to it."""
    running.start()
    return running


async def echoed(url: str, payload: bytes) -> bytes:
    """Send a message to ourselves and return what came."""
    async with await nats.connect(url, allow_reconnect=False) as client:
        heard = await client.subscribe("echo")
        await client.publish("echo", payload)
        return (await heard.next_msg(timeout=PATIENCE_S)).data


async def test_url_leads_to_the_server(server: NatsServer) -> None:
    assert await echoed(server.url, b"hello") == b"hello"


async def test_nobody_enters_without_the_password(server: NatsServer) -> None:
    with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
        await nats.connect(f"nats://riskportal:guess@127.0.0.1:{server.port}", allow_reconnect=False)


async def test_messages_may_be_as_long_as_the_answer_to_the_largest_batch(server: NatsServer) -> None:
    assert len(await echoed(server.url, bytes(6_000_000))) == 6_000_000


async def test_restart_keeps_the_address(server: NatsServer) -> None:
    url, pid = server.url, server.pid
    server.restart()
    assert (server.url, server.pid != pid) == (url, True)
    assert await echoed(url, b"again") == b"again"


def test_kill_ends_the_process(server: NatsServer) -> None:
    assert server.pid is not None
    process = leftovers.ProcessId.of(server.pid)
    server.kill()
    assert process is not None
    assert not process.alive
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), 1.0)


def test_close_leaves_no_file() -> None:
    with NatsServer() as server:
        pass
    assert not server.directory.exists()
    with pytest.raises(ServerError, match="closed"):
        server.start()


def test_bad_setting_is_told_with_the_log() -> None:
    server = NatsServer(settings={"max_payload": "much"})
    with pytest.raises(ServerError, match=r"nats-server\.conf:3"):
        server.start()
    server.close()


def test_missing_program_names_the_package(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("devtools.nats_server._ADMIN_PROGRAMS", ())
    with pytest.raises(ServerError, match="apt-get install nats-server"):
        NatsServer()
