"""`manage.py simulate`: a market and an OMS against a running riskportal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from simulator.oms import trade

KEY_NAME = "RISK_SIMULATOR_KEY"


class Command(BaseCommand):
    help = "Simulate a market and an OMS that trade through a running riskportal, until Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--url", default="http://127.0.0.1:8103", help="where riskportal answers (%(default)s)")
        parser.add_argument("--key", default="", help=f"API key that may check and feed (default: {KEY_NAME})")
        parser.add_argument("--rate", type=float, default=3.0, help="orders a second (%(default)s)")
        parser.add_argument(
            "--accounts", default="desk-1,desk-2,desk-3", help="accounts to trade for, with commas (%(default)s)"
        )
        parser.add_argument("--seconds", type=float, help="stop after so long (default: never)")
        parser.add_argument("--json", action="store_true", help="print what happened as JSON at the end")

    def handle(self, *args: Any, **options: Any) -> None:
        key = options["key"] or os.environ.get(KEY_NAME, "")
        if not key:
            raise CommandError(f"an API key is needed: --key or {KEY_NAME} (make one with create_api_key)")
        if not 0 < options["rate"] <= 1000:
            raise CommandError("--rate must be above 0 and at most 1000")
        accounts = [name.strip() for name in options["accounts"].split(",") if name.strip()]
        if not accounts:
            raise CommandError("--accounts names none")
        self.stderr.write(f"trading for {', '.join(accounts)} through {options['url']}")
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        tally = asyncio.run(
            trade(
                options["url"],
                key,
                accounts,
                rate=options["rate"],
                say=self.stderr.write,
                stop=stop,
                seconds=options["seconds"],
            )
        )
        self.stdout.write(
            json.dumps({**vars(tally), "blocked": dict(tally.blocked)}) if options["json"] else tally.line()
        )
