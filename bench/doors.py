"""The servers that are measured: the floor and the two HTTP doors, as they run in production, on one core each."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from bench.machine import on_core
from bench.processes import Process

FLOOR, ASGI, WSGI = "floor", "asgi", "wsgi"

# What a reader of the table is told that each one is.
TITLES = {
    FLOOR: "floor: uvloop, two Redis trips",
    ASGI: "raw ASGI on uvicorn",
    WSGI: "DRF on granian WSGI",
}

_COMMANDS = {
    FLOOR: [sys.executable, "-m", "bench.floor", "{port}"],
    ASGI: [sys.executable, "-m", "riskportal.serve", "asgi"],
    WSGI: [sys.executable, "-m", "riskportal.serve", "web"],
}
_PORTS = {FLOOR: "BENCH_FLOOR_PORT", ASGI: "RISK_ASGI_PORT", WSGI: "RISK_HTTP_PORT"}


def door(kind: str, environment: Mapping[str, str], core: int | None = None) -> Process:
    """Return the server of a door, not started; `core` is the only one it may run on, None leaves that open."""
    run = _COMMANDS[kind]
    # One process: more of them share the load of one core only.
    settings = {**environment, _PORTS[kind]: "{port}", "RISK_WEB_PROCESSES": "1"}
    return Process(TITLES[kind], run if core is None else on_core(core, run), settings)
