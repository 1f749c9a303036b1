"""Where websockets go."""

from __future__ import annotations

from typing import Any

from channels.routing import URLRouter
from channels.sessions import SessionMiddlewareStack
from django.urls import path

from dashboard.consumer import LiveConsumer
from dashboard.origin import SameOrigin


def websockets() -> Any:
    """Return the ASGI application of the websockets: for pages of this site, with the session of who is signed in."""
    return SameOrigin(SessionMiddlewareStack(URLRouter([path("ws/risk/", LiveConsumer.as_asgi())])))
