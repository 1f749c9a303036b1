"""up: riskportal in one process, without any server to install."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import signal
import socket
import time
from argparse import ArgumentParser
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

import uvicorn
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils import timezone

from audit.drain import drain
from policies.models import Account
from policies.services import do_create_account
from riskportal.demo import ensure_past
from riskportal.embedded import Clockwork, Feeds, Simulation
from riskportal.restore import CannotRestore, Outcome, Report, restore_if_empty
from riskportal.screen import start_screen
from riskportal.signin import ACTOR, SignIn, ensure_sign_in
from riskportal.warm import settle_memory
from riskportal.websockets import WEBSOCKETS
from state.store import StateUnavailable
from state.wiring import store

DESKS = ("desk-1", "desk-2", "desk-3")
_PROFILE = "normal"
_RATE = 3.0
_PAUSE_S = 0.1


class Command(BaseCommand):
    help = (
        "Runs riskportal in one process that needs no server: for trying it out, demonstrations and a single desk. "
        "Brings a simulated market and OMS along, unless told not to."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--no-demo", action="store_true", help="no simulated market, OMS and accounts")
        parser.add_argument("--host", default=settings.RISK_HOST, help="address to serve on (%(default)s)")
        parser.add_argument(
            "--port", type=int, default=settings.RISK_HTTP_PORT, help="port to serve on; 0: any (%(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.EMBEDDED:
            raise CommandError("REDIS_URL is set, which means several processes: make serve. Unset it for this one.")
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            self._run(options["host"], options["port"], DESKS if not options["no_demo"] else ())
        except KeyboardInterrupt:
            self.stdout.write("\nStopped.")

    def _run(self, host: str, port: int, desks: tuple[str, ...]) -> None:
        listening = _listen(host, port)
        url = f"http://{host}:{listening.getsockname()[1]}"
        sign_in, report = self._prepare(desks)
        clockwork, feeds = Clockwork(), Feeds()
        simulation = Simulation(url, sign_in.simulator_key, desks, rate=_RATE, say=self._say) if desks else None

        def ready() -> None:
            clockwork.start()
            feeds.start()
            if simulation is not None:
                simulation.start()
            settle_memory()
            self._tell(start_screen(url, sign_in, report, desks, settings.RISK_DATA_DIR))

        self._say("Starting")
        try:
            _Server(ready, simulation).run(sockets=[listening])
        finally:
            if simulation is not None:
                simulation.stop()
            feeds.stop()
            clockwork.stop()
            with contextlib.suppress(StateUnavailable, DatabaseError):
                drain(store())  # or at the next start
            store().close()

    def _prepare(self, desks: tuple[str, ...]) -> tuple[SignIn, Report]:
        try:
            store().journal_length(0)  # from here on the data directory is this process's
            self._say("Preparing the database")
            call_command("migrate", interactive=False, verbosity=0)
            call_command("bootstrap", stdout=io.StringIO())
            _ensure_accounts(desks)
            if desks:
                ensure_past(timezone.now())
            sign_in = ensure_sign_in(settings.RISK_DATA_DIR)
            self._say("Restoring the live state")
            return sign_in, _restored()
        except (StateUnavailable, CannotRestore) as error:
            raise CommandError(f"riskportal cannot start: {error}") from None

    def _say(self, text: str) -> None:
        self._tell(f"==> {text}")

    def _tell(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


class _Server(uvicorn.Server):
    """Serves riskportal.asgi. Calls `ready` once it does, and lets the simulation hear first that it stops."""

    def __init__(self, ready: Callable[[], None], simulation: Simulation | None) -> None:
        super().__init__(
            uvicorn.Config(
                "riskportal.asgi:application",
                loop="uvloop",
                http="httptools",
                lifespan="on",
                log_config=None,
                log_level=logging.WARNING,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=1,
                **WEBSOCKETS,
            )
        )
        self._ready, self._simulation = ready, simulation

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._simulation is not None:
            self._simulation.hear_stop()
        await super().shutdown(sockets)


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket on the address, before anything else is done. Raises CommandError."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, OverflowError) as error:
        listening.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise CommandError(
                f"port {port} is taken by another program. Choose another one: --port 8200, or RISK_HTTP_PORT=8200"
            ) from None
        raise CommandError(f"cannot serve on {host} port {port}: {error}") from None
    return listening


def _ensure_accounts(desks: tuple[str, ...]) -> None:
    """Make the simulation's accounts where they are not there: they are accounts like others."""
    for number, account_id in enumerate(desks, 1):
        if not Account.objects.filter(pk=account_id).exists():
            do_create_account(
                actor=ACTOR,
                reason="An account for the simulated OMS",
                account_id=account_id,
                name=f"Simulated desk {number}",
                profile=_PROFILE,
            )


def _restored() -> Report:
    """Restore the live state and return what was done; one that is held back is restored later, by a task."""
    while True:
        report = restore_if_empty(store())
        if report.outcome is not Outcome.BUSY:
            return report
        time.sleep(_PAUSE_S)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
