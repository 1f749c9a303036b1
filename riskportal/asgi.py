"""The ASGI application: order checks by the raw door, websockets by Channels, all else by WSGI in threads."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from io import BytesIO
from typing import Any, cast

from a2wsgi import WSGIMiddleware
from a2wsgi.wsgi_typing import WSGIApp

from riskportal.warm import settle_memory, take_short_turns

# Sets Django up, which everything below needs.
from riskportal.wsgi import application as wsgi_application

from api.asgi_door import CheckDoor, Receive, Scope, Send  # isort: skip
from dashboard.routing import websockets  # isort: skip
from feeds.messages import MOST_BYTES  # isort: skip
from riskportal.stops_first import KEPT, is_stop  # isort: skip
from riskportal.beside import Beside  # isort: skip

# Requests to Django that are worked on at the same time; further ones wait.
_THREADS = 10


# Where a scope has the body that was read before.
_BODY = "riskportal.body"


class Behind:
    """What is behind the check door: the life of the process, and the WSGI application, with threads kept for stops."""

    def __init__(self) -> None:
        self._wsgi = WSGIMiddleware(cast(WSGIApp, wsgi_application), workers=_THREADS)
        self._stops = WSGIMiddleware(cast(WSGIApp, _with_body), workers=KEPT)
        self._websockets = websockets()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] == "websocket":
            await self._websockets(scope, receive, send)
            return
        if is_stop(scope["method"], scope["path"]):
            # Its thread finds the body there: it need not ask the loop, which has checks to answer.
            body = await _read(receive)
            await self._stops(cast(Any, _measured(scope, body)), cast(Any, receive), cast(Any, send))
            return
        if not any(name == b"content-length" for name, _value in scope["headers"]):
            scope, receive = await _with_length(scope, receive)
        await self._wsgi(cast(Any, scope), cast(Any, receive), cast(Any, send))


def _with_body(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Hand a request on whose body was read before."""
    return wsgi_application({**environ, "wsgi.input": BytesIO(environ["asgi.scope"][_BODY])}, start_response)


async def _with_length(scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
    """Say how long a body is that came in chunks: WSGI reads none of which it does not know that."""
    body = await _read(receive)

    async def whole() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return _measured(scope, body), whole


async def _read(receive: Receive) -> bytes:
    """Return a body, or no more of it than what every view refuses as too long."""
    body, more = b"", True
    while more and len(body) <= MOST_BYTES:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _measured(scope: Scope, body: bytes) -> Scope:
    """Return a scope that has a body and says how long it is."""
    others = [header for header in scope["headers"] if header[0] != b"content-length"]
    return {**scope, "headers": [*others, (b"content-length", b"%d" % len(body))], _BODY: body}


async def _live(receive: Receive, send: Send) -> None:
    """Answer the server's start and stop, between which the monitor is watched."""
    beside = Beside()
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            beside.start()
        else:
            beside.stop()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


application = CheckDoor(Behind())
settle_memory()
take_short_turns()
