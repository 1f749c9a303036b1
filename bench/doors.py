"""The servers that are measured: the floor and the processes of production, on one core each."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from bench.machine import on_core
from bench.processes import Process

FLOOR, ASGI, WSGI, NATS = "floor", "asgi", "wsgi", "nats"

# No doors for orders: what serves browsers, and what looks at accounts each second.
LIVE, WORKER = "live", "worker"

# What a reader of the table is told that each one is.
TITLES = {
    FLOOR: "floor: uvloop, two Redis trips",
    ASGI: "raw ASGI on uvicorn",
    WSGI: "DRF on granian WSGI",
    NATS: "NATS gateway",
    LIVE: "live pages",
    WORKER: "worker",
}

_COMMANDS = {
    FLOOR: [sys.executable, "-m", "bench.floor", "{port}"],
    ASGI: [sys.executable, "-m", "riskportal.serve", "asgi"],
    WSGI: [sys.executable, "-m", "riskportal.serve", "web"],
    NATS: [sys.executable, "-m", "riskportal.serve", "gateway"],
    **{kind: [sys.executable, "-m", "riskportal.serve", kind] for kind in (LIVE, WORKER)},
}
_PORTS = {FLOOR: "BENCH_FLOOR_PORT", ASGI: "RISK_ASGI_PORT", WSGI: "RISK_HTTP_PORT", LIVE: "RISK_LIVE_PORT"}

# What those say once they work that have no port of their own.
_SAYS = {NATS: "connected to NATS", WORKER: " ready."}


def door(kind: str, environment: Mapping[str, str], core: int | None = None) -> Process:
    """Return the server of a kind, not started; `core` is the only one it may run on, None leaves that open."""
    run = _COMMANDS[kind]
    # One process: more of them share the load of one core only.
    settings = {**environment, "RISK_WEB_PROCESSES": "1"}
    if kind in _PORTS:
        settings[_PORTS[kind]] = "{port}"
    return Process(TITLES[kind], run if core is None else on_core(core, run), settings, says=_SAYS.get(kind, ""))
