"""reset_sign_in: let somebody in who cannot get in, by whoever has the machine."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from access.lockout import do_unlock
from access.second_factor import do_remove_factor
from audit.actors import command_line


class Command(BaseCommand):
    help = (
        "Ends the lock-out of a person, or takes their second factor away, for the day on which no administrator can "
        "sign in either. Both are in the audit log. A password is set by changepassword."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", help="whom to let in")
        parser.add_argument("--unlock", action="store_true", help="end their lock-out, at whichever address")
        parser.add_argument("--second-factor", action="store_true", help="take their second factor away")
        parser.add_argument("--reason", required=True, help="why, for the audit log")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["unlock"] and not options["second_factor"]:
            raise CommandError("Nothing was changed: say --unlock, --second-factor, or both.")
        if not options["reason"].strip():
            raise CommandError("Nothing was changed: say why, for the audit log.")
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['username']!r}.")
        why = {"actor": command_line(), "reason": options["reason"]}
        if options["unlock"]:
            do_unlock(user, **why)
            self.stdout.write(f"{user} is locked out nowhere.")
        if options["second_factor"]:
            there = do_remove_factor(user, **why)
            self.stdout.write(f"{user} {'has no second factor any more' if there else 'had no second factor'}.")
