"""Servers for the races: python -m tests.races.app control|memory PORT

`control` serves what a test does to the live state. `memory` serves an embedded riskportal: both doors of one
process on its one memory, and the control beside them.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, cast

import django
import msgspec
import uvicorn

from api.asgi_door import Application, Receive, Scope, Send
from devtools.ports import HOST
from state.wiring import store
from tests.races.control import Request, perform

CONTROL, WSGI = "/_control", "/_wsgi"


async def control(scope: Scope, receive: Receive, send: Send) -> None:
    """Perform the request in the body."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    request: Request = msgspec.json.decode(body, type=Request)
    content = msgspec.json.encode(await asyncio.to_thread(perform, store(), request))
    length = b"%d" % len(content)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": content})


def embedded() -> Application:
    """Return both doors and the control, by what a path begins with; the memory is filled from the database."""
    from a2wsgi import WSGIMiddleware

    from riskportal.asgi import application
    from riskportal.restore import restore_if_empty
    from riskportal.wsgi import application as wsgi_application

    restore_if_empty(store())
    behind = WSGIMiddleware(cast(Any, wsgi_application))

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path.startswith(CONTROL):
            await control(scope, receive, send)
        elif path.startswith(WSGI):
            inner = {**scope, "path": path.removeprefix(WSGI)}
            await behind(cast(Any, inner), cast(Any, receive), cast(Any, send))
        else:
            await application(scope, receive, send)

    return route


def main() -> None:
    """Serve what the arguments say."""
    what, port = sys.argv[1:3]
    django.setup()
    served = embedded() if what == "memory" else control
    uvicorn.run(
        cast(Any, served),
        host=HOST,
        port=int(port),
        loop="uvloop",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
