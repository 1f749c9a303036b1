"""The servers that are measured: the floor and the doors, as they run in production, on one core each."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from bench.machine import on_core
from bench.processes import Process

FLOOR, ASGI, WSGI, NATS = "floor", "asgi", "wsgi", "nats"

# What a reader of the table is told that each one is.
TITLES = {
    FLOOR: "floor: uvloop, two Redis trips",
    ASGI: "raw ASGI on uvicorn",
    WSGI: "DRF on granian WSGI",
    NATS: "NATS gateway",
}

_COMMANDS = {
    FLOOR: [sys.executable, "-m", "bench.floor", "{port}"],
    ASGI: [sys.executable, "-m", "riskportal.serve", "asgi"],
    WSGI: [sys.executable, "-m", "riskportal.serve", "web"],
    NATS: [sys.executable, "-m", "riskportal.serve", "gateway"],
}
_PORTS = {FLOOR: "BENCH_FLOOR_PORT", ASGI: "RISK_ASGI_PORT", WSGI: "RISK_HTTP_PORT"}

# The gateway has no port of its own; this is what it says once it hears requests.
_SAYS = {NATS: "connected to NATS"}


def door(kind: str, environment: Mapping[str, str], core: int | None = None) -> Process:
    """Return the server of a door, not started; `core` is the only one it may run on, None leaves that open."""
    run = _COMMANDS[kind]
    # One process: more of them share the load of one core only.
    settings = {**environment, "RISK_WEB_PROCESSES": "1"}
    if kind in _PORTS:
        settings[_PORTS[kind]] = "{port}"
    return Process(TITLES[kind], run if core is None else on_core(core, run), settings, says=_SAYS.get(kind, ""))
