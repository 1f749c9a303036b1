"""The fast door: order checks answered in plain ASGI, ahead of Django. Everything else is handed on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, TypeAlias

from api import checks, errors
from api.checks import Reply
from api.errors import PROBLEM_TYPE, Problem
from api.task_desk import TaskDesk
from api.wire import MOST_BATCH_BYTES, MOST_CHECK_BYTES
from feeds.malformed import Malformed

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_CHECK = "/risk/check"
_BATCH = "/risk/check/batch"

_CONTENT_TYPE = {
    checks.JSON_TYPE: (b"content-type", checks.JSON_TYPE.encode()),
    PROBLEM_TYPE: (b"content-type", PROBLEM_TYPE.encode()),
}
_REPLAYED = (b"idempotency-replayed", b"true")

# Longer Content-Lengths need not be read to be refused.
_LENGTH_DIGITS = 9


class Gone(Exception):
    """The client has hung up before its request was whole."""


class CheckDoor:
    """An ASGI application: POST /risk/check and /risk/check/batch are answered, all else goes to `application`."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._desk: TaskDesk | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in (_CHECK, _BATCH) or scope["method"] != "POST":
            await self._application(scope, receive, send)
            return
        started_ns = time.perf_counter_ns()
        try:
            reply = await self._answer(scope, receive, started_ns)
        except (Problem, Malformed) as error:
            reply = checks.refusal(error)
        except Gone:
            return
        except Exception:
            reply = checks.failure("a check")
        await _send(reply, send)

    async def _answer(self, scope: Scope, receive: Receive, started_ns: int) -> Reply:
        batch = scope["path"] == _BATCH
        headers = dict(scope["headers"])
        authorization = headers.get(b"authorization", b"").decode("latin-1")
        body = partial(_body, headers, receive, MOST_BATCH_BYTES if batch else MOST_CHECK_BYTES)
        return await self._desk_of_loop().answer(authorization, body, started_ns, batch=batch)

    def _desk_of_loop(self) -> TaskDesk:
        """Return the desk of the running loop; a process has one, tests have one each."""
        loop = asyncio.get_running_loop()
        if self._desk is None or loop is not self._loop:
            self._loop, self._desk = loop, TaskDesk()
        return self._desk


async def _body(headers: dict[bytes, bytes], receive: Receive, most: int) -> bytes:
    """Return the body, if it is JSON and not too long. Raises Problem, and Gone."""
    _check_type(headers.get(b"content-type", b""))
    length = headers.get(b"content-length")
    if length is not None and (len(length) > _LENGTH_DIGITS or int(length) > most):
        raise errors.too_large(most)
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body") and message["type"] == "http.request" and len(body) <= most:
        return body
    parts = [body]
    size = len(body)
    while message.get("more_body"):
        if size > most:
            raise errors.too_large(most)
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
    if message["type"] != "http.request":
        raise Gone
    if size > most:
        raise errors.too_large(most)
    return b"".join(parts)


def _check_type(content_type: bytes) -> None:
    if content_type == b"application/json":
        return
    kind, _, parameter = content_type.lower().partition(b";")
    if kind.strip() != b"application/json" or parameter.strip() not in (b"", b"charset=utf-8", b'charset="utf-8"'):
        raise errors.wrong_type()


async def _send(reply: Reply, send: Send) -> None:
    headers = [_CONTENT_TYPE[reply.content_type], (b"content-length", b"%d" % len(reply.body))]
    if reply.replayed:
        headers.append(_REPLAYED)
    for name, value in reply.headers:
        headers.append((name.lower().encode(), value.encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
