"""`manage.py make_report`: makes a report that was asked for. The worker starts it."""

from __future__ import annotations

import os
import signal
from argparse import ArgumentParser
from types import FrameType
from typing import Any, NoReturn
from uuid import UUID

from django.core.management.base import BaseCommand

from reports.making import make

# Checks and the monitor come first.
_NICENESS = 10


class Command(BaseCommand):
    help = "Make one report whose row says that it is being made. The worker starts this: there is no need to."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=UUID, help="The report's id.")
        parser.add_argument("attempt", type=int, help="The number of the attempt that its row tells of.")

    def handle(self, *args: Any, **options: Any) -> None:
        signal.signal(signal.SIGTERM, _stop)
        os.nice(_NICENESS)
        make(options["id"], options["attempt"])


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
