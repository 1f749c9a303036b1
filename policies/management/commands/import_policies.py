"""import_policies: write the change request that makes the limits say what a file says."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import msgspec
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from audit.acting import system
from audit.actors import command_line
from policies.books.telling import Told, differences_of
from policies.errors import PolicyError
from policies.files.matching import Plan
from policies.files.rows import KINDS, MOST_BYTES
from policies.files.services import do_import_limits, plan_import, try_plan
from policies.models import ChangeRequest
from policies.requests.publishing import text_of
from policies.requests.services import do_submit_request
from policies.requests.trying import Tried
from riskcore.calendar import microseconds


class Command(BaseCommand):
    help = (
        "Reads limits from a YAML, XLSX or CSV file, says what they change, and writes one change request that waits "
        "to be published as any other. Nothing is live before that. What is not in the file stays as it is."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="its name ends with .yaml, .xlsx or .csv")
        parser.add_argument("--only", choices=sorted(KINDS), help="the kind of the rows of a CSV file")
        parser.add_argument("--reason", default="", help="why, for the audit log; needed unless --dry-run")
        parser.add_argument("--dry-run", action="store_true", help="say what would change, and write nothing")
        parser.add_argument("--json", action="store_true", help="write the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(options["file"])
        request: ChangeRequest | None = None
        try:
            plan = plan_import(_read(path), path.name, KINDS.get(options["only"], ""))
            tried = try_plan(plan) if plan.edits else None
            if plan.edits and not options["dry_run"]:
                request = _ask(plan, options["reason"], path.name)
        except (PolicyError, ValidationError) as error:
            raise CommandError(f"Nothing was taken from {path}:\n{text_of(error)}") from None
        told = () if tried is None else differences_of(tried.before, tried.after, at_us=microseconds(timezone.now()))
        if options["json"]:
            self.stdout.write(msgspec.json.encode(_result(plan, tried, told, request)).decode())
            return
        for each in told:
            self.stdout.write(f"{each.direction:9} {each.part} {each.name}, {each.field}: {_both(each)} ({each.why})")
        self.stdout.write(_said(plan, tried, request))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise CommandError(f"The file cannot be read: {error}") from None


def _ask(plan: Plan, reason: str, name: str) -> ChangeRequest:
    """Write the request and submit it, so that it waits for whoever publishes or approves it."""
    acting = system(command_line())
    request = do_import_limits(acting=acting, reason=reason, plan=plan, title=f"Import of {name}"[:200])
    return do_submit_request(acting=acting, request_id=request.pk, expected_version=request.version)


def _both(told: Told) -> str:
    return f"{told.before or 'nothing'} -> {told.after or 'nothing'}"


def _said(plan: Plan, tried: Tried | None, request: ChangeRequest | None) -> str:
    if tried is None:
        return f"Rows like that already: {plan.same}; there is nothing to change."
    counts = f"Rows to change: {len(plan.edits)}; like that already: {plan.same}."
    if request is None:
        return f"{counts} Nothing was written."
    return f"{counts} {request}. It {'is ready to publish' if request.state == 'approved' else 'waits for approval'}."


def _result(plan: Plan, tried: Tried | None, told: tuple[Told, ...], request: ChangeRequest | None) -> dict[str, Any]:
    return {
        "request": None if request is None else request.pk,
        "state": None if request is None else request.state,
        "direction": None if tried is None else tried.direction,
        "changed": len(plan.edits),
        "same": plan.same,
        "differences": told,
    }
