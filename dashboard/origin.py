"""Websockets are for this site's own pages: a browser sends the session's cookie along with whoever asks for one."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings


class SameOrigin:
    """An ASGI application that refuses websockets which a page of another origin asks for, before it is accepted.

    Parameters
    ----------
    application
        Gets the others. RISK_TRUSTED_ORIGINS names further origins, as it does for forms.
    """

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if is_same_origin(dict(scope["headers"])):
            await self._application(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.close"})  # not accepted: the answer is 403


def is_same_origin(headers: dict[bytes, bytes]) -> bool:
    """Return whether a request comes from a page of the host that it is for: no Origin is nobody's page."""
    origin, host = headers.get(b"origin", b"").decode("latin-1"), headers.get(b"host", b"").decode("latin-1")
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        found = urlsplit(origin)
    except ValueError:
        return False
    return bool(host) and found.scheme in ("http", "https") and found.netloc.lower() == host.lower()
