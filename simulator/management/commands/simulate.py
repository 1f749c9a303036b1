"""`manage.py simulate`: a market, its exchange and an OMS against a running riskportal."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import threading
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from bus.nats import NatsConnection
from simulator.market import MadeMarket, Market
from simulator.oms import Oms
from simulator.peer import Plan, Reach, trade
from simulator.ticks import COLUMNS, RecordedMarket, Unreadable

KEY_NAME = "RISK_SIMULATOR_KEY"

_COLUMNS = "\n".join(f"  {what:<9} {', '.join(names)}" for what, names in COLUMNS.items())
_EPILOG = f"""
With --nats the feeds are published there (market.tick.SYMBOL, fills.confirmed, positions.update, pnl.update,
orders.closed), orders are asked about on risk.check.order, and execution.cancel_all and execution.close_all are done
and reported on execution.progress. With --rest alone prices and states are pushed, and orders asked about, over HTTP.
With both, HTTP is asked about orders and NATS has everything else.

A file for --ticks is CSV with a header, plain or gzip, in the order of time; a row is a best quote (bid and ask) or a
trade (price). Its columns, unless --columns says otherwise:
{_COLUMNS}
Times are a number of seconds, ms, us or ns since 1970, or ISO 8601. The file's symbols are what is traded; it is played
from its first row to its last, with the present time in what is told to riskportal.
"""


class Command(BaseCommand):
    help = "Simulates a market, its exchange and an OMS that trades through a running riskportal, until Ctrl-C."
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return the parser, which leaves the lines of the epilog as they are."""
        kwargs["formatter_class"] = argparse.RawDescriptionHelpFormatter
        return super().create_parser(prog_name, subcommand, epilog=_EPILOG, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        default = f"http://127.0.0.1:{settings.RISK_HTTP_PORT}"
        parser.add_argument("--nats", metavar="URL", help='NATS (default: NATS_URL; "": none)')
        parser.add_argument(
            "--rest",
            "--url",
            metavar="URL",
            help=f"riskportal's HTTP address (default: none with NATS, else {default})",
        )
        parser.add_argument("--key", default="", help=f"API key that may check and feed (default: {KEY_NAME})")
        parser.add_argument("--rate", type=float, default=3.0, help="orders a second (%(default)s)")
        parser.add_argument(
            "--accounts", default="desk-1,desk-2,desk-3", help="accounts to trade for, with commas (%(default)s)"
        )
        parser.add_argument("--seed", type=int, help="the same market and desks each time (default: others each time)")
        parser.add_argument("--duration", "--seconds", type=float, metavar="S", help="stop after so many seconds")
        parser.add_argument(
            "--ticks", type=Path, action="append", metavar="FILE", help="play a recorded market; several"
        )
        parser.add_argument("--symbol", default="", help="the symbol of files that have no such column")
        parser.add_argument("--columns", default="", metavar="WHAT=NAME,...", help="columns that are called otherwise")
        parser.add_argument(
            "--speed", type=float, default=1.0, help="how many times as fast files are played (%(default)s)"
        )
        parser.add_argument("--json", action="store_true", help="print counts and the desks' books as JSON at the end")

    def handle(self, *args: Any, **options: Any) -> None:
        plan, key, (rest, nats) = _plan(options), _key(options), _addresses(options)
        reach = Reach(key, rest, NatsConnection(nats, name="riskportal simulator") if nats else None)
        self.stderr.write(f"trading for {', '.join(plan.accounts)} through {_through(rest, nats)}")
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())

        def market(generator: random.Random) -> Market:
            return _recorded(options) if options["ticks"] else MadeMarket(generator)

        try:
            oms = asyncio.run(
                trade(plan, reach, say=self.stderr.write, stop=stop, seconds=options["duration"], make_market=market)
            )
        except Unreadable as error:
            raise CommandError(str(error)) from None
        self._conclude(oms, as_json=options["json"])

    def _conclude(self, oms: Oms, *, as_json: bool) -> None:
        summary = json.dumps(oms.tally.summary(oms.statements())) if as_json else oms.tally.line()
        self.stdout.write(summary)
        if oms.trouble and not oms.tally.answered:
            raise CommandError(f"not one order was answered: riskportal is {oms.trouble}")


def _plan(options: dict[str, Any]) -> Plan:
    if not 0 < options["rate"] <= 1000:
        raise CommandError("--rate must be above 0 and at most 1000")
    if not 0 < options["speed"] <= 1000:
        raise CommandError("--speed must be above 0 and at most 1000")
    if options["duration"] is not None and not 0 < options["duration"] < float("inf"):
        raise CommandError("--duration must be above 0, in seconds")
    accounts = list(dict.fromkeys(name.strip() for name in options["accounts"].split(",") if name.strip()))
    if not accounts:
        raise CommandError("--accounts names none")
    return Plan(accounts, options["rate"], options["seed"])


def _key(options: dict[str, Any]) -> str:
    key: str = options["key"] or os.environ.get(KEY_NAME, "")
    if not key:
        raise CommandError(f"an API key is needed: --key or {KEY_NAME} (make one with create_api_key)")
    return key


def _addresses(options: dict[str, Any]) -> tuple[str, str]:
    """Return riskportal's addresses, of HTTP and of NATS; an empty one is not used."""
    nats = settings.NATS_URL if options["nats"] is None else options["nats"]
    rest = options["rest"] or ("" if nats else f"http://127.0.0.1:{settings.RISK_HTTP_PORT}")
    if rest and not rest.startswith(("http://", "https://")):
        raise CommandError(f"--rest {rest}: must begin with http:// or https://")
    if nats and not nats.startswith(("nats://", "tls://")):
        raise CommandError(f"--nats: must begin with nats:// or tls://, and not as {nats.partition(':')[0]}:")
    return rest, nats


def _through(rest: str, nats: str) -> str:
    """Return where riskportal is reached, without the password in the address of NATS."""
    shown = ", ".join(url.rpartition("@")[2].removeprefix("nats://") for url in nats.split(","))
    return " and ".join([*([f"NATS at {shown}"] if nats else []), *([rest] if rest else [])])


def _recorded(options: dict[str, Any]) -> RecordedMarket:
    """Return the market of the files. Raises Unreadable and CommandError."""
    pairs = [pair.partition("=") for pair in options["columns"].split(",") if pair]
    for what, _, name in pairs:
        if what not in COLUMNS or not name:
            raise CommandError(f"--columns: {what}={name} is none of {', '.join(f'{each}=NAME' for each in COLUMNS)}")
    columns = {what: name for what, _, name in pairs}
    return RecordedMarket(options["ticks"], symbol=options["symbol"], columns=columns, speed=options["speed"])
