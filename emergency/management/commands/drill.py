"""`manage.py drill`: tries the emergency stop on one account of a running riskportal, and reports how long it took."""

from __future__ import annotations

import os
from typing import Any

import msgspec
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from emergency.drill import DrillFailed, Plan, Portal, Report, run

KEY_NAME = "RISK_DRILL_KEY"


class Command(BaseCommand):
    help = (
        "Stops one account for real, sees that its orders are blocked, waits until the OMS has cancelled its orders "
        "(and, with --unwind, closed its positions), re-enables it, and prints when everything happened. Exits with 1 "
        "where something was not as it should be; the stop is left in force then."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--account", required=True, metavar="ID", help="the account to stop")
        parser.add_argument("--symbol", default="BTCUSDT", help="what orders are asked about (%(default)s)")
        parser.add_argument("--unwind", action="store_true", help="close the account's positions as well")
        parser.add_argument("--triggered-by", default="drill", metavar="NAME", help="who stops (%(default)s)")
        parser.add_argument("--authorized-by", required=True, metavar="NAME", help="who re-enables: somebody else")
        parser.add_argument("--within", type=float, default=60.0, metavar="SECONDS", help="for the OMS (%(default)s)")
        default = f"http://127.0.0.1:{settings.RISK_HTTP_PORT}"
        parser.add_argument("--url", default=default, help="riskportal's HTTP address (%(default)s)")
        parser.add_argument("--key", default="", help=f"API key that may check, read and operate (default: {KEY_NAME})")
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        key = options["key"] or os.environ.get(KEY_NAME, "")
        if not key:
            raise CommandError(f"an API key is needed: --key or {KEY_NAME} (make one with create_api_key)")
        if not 0 < options["within"] <= 3600:
            raise CommandError("--within must be above 0 and at most 3600, in seconds")
        plan = Plan(
            account_id=options["account"],
            symbol=options["symbol"],
            unwind=options["unwind"],
            triggered_by=options["triggered_by"],
            authorized_by=options["authorized_by"],
            within_s=options["within"],
        )
        self.stderr.write(f"stopping {plan.account_id} at {options['url']}" + (", and closing it" * plan.unwind))
        try:
            with Portal(options["url"], key) as portal:
                report = run(portal, plan)
        except DrillFailed as error:
            raise CommandError(f"the drill did not begin: {error}") from None
        self.stdout.write(msgspec.json.encode(report).decode() if options["json"] else _text(report))
        if report.problem:
            raise CommandError(report.problem)


def _text(report: Report) -> str:
    lines = [f"{step.after_ms:>11,.1f} ms  {step.what:<18} {step.detail}" for step in report.steps]
    if not report.problem:
        lines.append(f"Passed: in force after {report.in_force_ms:.1f} ms, returned after {report.returned_ms:.1f} ms.")
    return "\n".join(lines)
