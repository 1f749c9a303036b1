"""The ASGI application: order checks by the raw door, everything else by the WSGI application in threads."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, cast

from a2wsgi import WSGIMiddleware
from a2wsgi.wsgi_typing import WSGIApp

from riskportal.warm import settle_memory

# Sets Django up, which everything below needs.
from riskportal.wsgi import application as wsgi_application

from api.asgi_door import CheckDoor, Receive, Scope, Send  # isort: skip
from feeds.messages import MOST_BYTES  # isort: skip
from riskportal.watching import Watching  # isort: skip

# Requests to Django that are worked on at the same time; further ones wait.
_THREADS = 10


class Behind:
    """What is behind the check door: the life of the process, and the WSGI application."""

    def __init__(self) -> None:
        self._wsgi = WSGIMiddleware(cast(WSGIApp, wsgi_application), workers=_THREADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if not any(name == b"content-length" for name, _value in scope["headers"]):
            scope, receive = await _with_length(scope, receive)
        await self._wsgi(cast(Any, scope), cast(Any, receive), cast(Any, send))


async def _with_length(scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
    """Say how long a body is that came in chunks: WSGI reads none of which it does not know that.

    No more is read than what every view refuses as too long.
    """
    body, more = b"", True
    while more and len(body) <= MOST_BYTES:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)

    async def whole() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return {**scope, "headers": [*scope["headers"], (b"content-length", b"%d" % len(body))]}, whole


async def _live(receive: Receive, send: Send) -> None:
    """Answer the server's start and stop, between which the monitor is watched."""
    watching = Watching()
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            watching.start()
        else:
            watching.stop()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


application = CheckDoor(Behind())
settle_memory()
