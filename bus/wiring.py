"""The bus as the settings say: NATS at NATS_URL, or this process's own where it is all of riskportal."""

from __future__ import annotations

from django.conf import settings

from bus.connection import Connection
from bus.local import LocalConnection
from bus.nats import NatsConnection


def new_connection(name: str) -> Connection | None:
    """Return a connection that is not started yet, None where there is no bus: NATS_URL is not set in production.

    `name` is how NATS lists it.
    """
    if settings.NATS_URL:
        return NatsConnection(settings.NATS_URL, name=name)
    return LocalConnection() if settings.EMBEDDED else None
