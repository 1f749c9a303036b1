"""create_account: let an account send orders."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import msgspec
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from audit.actors import command_line
from policies.services import do_create_account


class Command(BaseCommand):
    help = "Adds an account with a capital profile, so that it may send orders."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", help="the account as orders name it")
        parser.add_argument("--profile", required=True, help="name of a capital profile: micro, low, normal ...")
        parser.add_argument("--exchange", default="", help="where its orders go that name no exchange; upper-cased")
        parser.add_argument("--name", default="", help="what people call it")
        parser.add_argument("--reason", default="Created on the command line", help="why, for the audit log")
        parser.add_argument("--json", action="store_true", help="write the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            made = do_create_account(
                actor=command_line(),
                reason=options["reason"],
                account_id=options["id"],
                name=options["name"],
                profile=options["profile"],
                exchange=options["exchange"],
            )
        except ValidationError as error:
            problems = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items())
            raise CommandError(f"The account was not created: {problems}") from None
        # The live state of an embedded installation is in another process, which looks for new books by itself.
        live = bool(made.live) and not settings.EMBEDDED
        if options["json"]:
            result = {"account_id": made.row.id, "book": made.book.version, "live": live}
            self.stdout.write(msgspec.json.encode(result).decode())
            return
        refresh_s = settings.RISK_POLICY_REFRESH.total_seconds()
        when = f"Book {made.book.version} is live within {refresh_s:g} s." if settings.EMBEDDED else str(made)
        self.stdout.write(f"Account {made.row.id} has profile {made.row.profile_id}. {when}")
