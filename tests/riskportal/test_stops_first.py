"""Wherever HTTP is served a stop is answered at once, however many other requests work and wait."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO

import pytest

from riskportal import asgi
from riskportal.stops_first import StopsFirst, Turns
from tests.support.patience import PATIENCE_S, eventually

STOP = "/risk/emergency-stop"


class Slow:
    """Answers a stop, and everything else once it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] != STOP or environ["REQUEST_METHOD"] != "POST":
            self.begun.release()
            assert self.go_on.wait(PATIENCE_S)
        start_response("200 OK", [])
        return [b"done " + environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))]


def ask(door: StopsFirst, path: str = "/risk/check", method: str = "POST") -> tuple[str, dict[str, str], bytes]:
    told: list[tuple[str, dict[str, str]]] = []
    environ = {"PATH_INFO": path, "REQUEST_METHOD": method, "CONTENT_LENGTH": "4", "wsgi.input": BytesIO(b"this")}
    body = door(environ, lambda status, named: told.append((status, dict(named))))
    ((status, headers),) = told
    return status, headers, b"".join(body)


@pytest.fixture
def threads():
    with ThreadPoolExecutor(8) as found:
        yield found


@pytest.fixture
def slow(threads):
    # What the threads wait for ends before they do.
    found = Slow()
    yield found
    found.go_on.set()


def begin(threads: ThreadPoolExecutor, door: StopsFirst, slow: Slow) -> Future[tuple[str, dict[str, str], bytes]]:
    """Ask for something, and return when it is worked on."""
    asked = threads.submit(ask, door)
    assert slow.begun.acquire(timeout=PATIENCE_S)
    return asked


@pytest.mark.parametrize(("path", "method"), [("/risk/check", "POST"), ("/admin/", "GET"), (STOP, "GET")])
def test_what_nobody_can_wait_for_is_refused(slow, threads, path, method):
    door = StopsFirst(slow, working=1, waiting=0)
    begin(threads, door, slow)
    status, headers, body = ask(door, path, method)
    assert status == "503 Service Unavailable"
    assert json.loads(body)["code"] == "too_busy"
    assert (headers["Retry-After"], headers["Content-Length"]) == ("1", str(len(body)))


def test_a_stop_passes_what_works_and_waits(slow, threads):
    door = StopsFirst(slow, working=1, waiting=1)
    begin(threads, door, slow)
    waiting = threads.submit(ask, door)
    assert ask(door, STOP) == ("200 OK", {}, b"done this")
    assert not waiting.done()


def test_what_waits_gets_its_turn(slow, threads):
    door = StopsFirst(slow, working=1, waiting=1)
    working, waiting = begin(threads, door, slow), threads.submit(ask, door)
    slow.go_on.set()
    assert [each.result(PATIENCE_S)[0] for each in (working, waiting)] == ["200 OK"] * 2


def test_what_fails_leaves_its_place():
    def fail(_environ, _start_response):
        raise ValueError("spoilt")

    door = StopsFirst(fail, working=1, waiting=0)
    for _ in range(3):
        with pytest.raises(ValueError, match="spoilt"):
            ask(door)


async def ask_asgi(door: asgi.Behind, path: str, *parts: bytes) -> bytes:
    """Send a body in parts, without its length, and return the body of the answer."""
    left = [{"type": "http.request", "body": part, "more_body": part != parts[-1]} for part in parts]
    answer: list[bytes] = []

    async def receive():
        return left.pop(0)

    async def send(message):
        answer.append(message.get("body", b""))

    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "http_version": "1.1", "headers": []}
    await door(scope, receive, send)
    return b"".join(answer)


async def test_in_the_asgi_process_as_well(slow, monkeypatch):
    monkeypatch.setattr(asgi, "wsgi_application", slow)
    door = asgi.Behind()
    others = [asyncio.create_task(ask_asgi(door, "/admin/", b"page")) for _ in range(asgi._THREADS + 1)]
    for _ in range(asgi._THREADS):
        await eventually(lambda: slow.begun.acquire(blocking=False), "every thread works")
    assert await asyncio.wait_for(ask_asgi(door, STOP, b"th", b"is"), PATIENCE_S) == b"done this"
    slow.go_on.set()
    assert await asyncio.gather(*others) == [b"done page"] * len(others)


def test_turns_are_taken_in_the_order_in_which_they_are_asked_for():
    turns, order, threads = Turns(1), [], []

    def work(number: int) -> None:
        with turns:
            order.append(number)

    with turns:
        for number in range(20):
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
            until = time.monotonic() + PATIENCE_S
            while turns.waiting <= number:
                assert time.monotonic() < until
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == list(range(20))


def test_no_more_work_at_a_time_than_there_are_turns():
    turns, working, most = Turns(3), 0, 0
    counting = threading.Lock()

    def work() -> None:
        nonlocal working, most
        for _ in range(50):
            with turns:
                with counting:
                    working += 1
                    most = max(most, working)
                time.sleep(0.0001)
                with counting:
                    working -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, working, turns.waiting) == (3, 0, 0)
