"""create_api_key: let a machine in."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

import msgspec
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from api.grants import MEANINGS, Word
from api.keys import do_create_key
from api.models import MOST_PER_SECOND
from audit.acting import system
from audit.actors import command_line

_MOST_DAYS = 3650


class Command(BaseCommand):
    help = "Makes an API key and prints it: once, it is kept nowhere. Words: " + "; ".join(
        f"{permission} - {meaning}" for permission, meaning in MEANINGS.items()
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="who uses the key; the audit log calls it key:NAME")
        parser.add_argument("--can", required=True, help=f"permissions, separated by commas: {','.join(Word)}")
        parser.add_argument("--account", nargs="+", action="extend", default=[], help="only for these accounts")
        parser.add_argument("--holder", metavar="USER", help="the person who uses it; default: it is a machine's")
        parser.add_argument("--expires", type=_days, metavar="DAYS", help="days until it expires; default: never")
        parser.add_argument("--rate", type=_rate, help="requests per second in each process; 0: no limit")
        parser.add_argument("--reason", default="Created on the command line", help="why, for the audit log")
        parser.add_argument("--json", action="store_true", help="write the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        days = options["expires"]
        try:
            made = do_create_key(
                acting=system(command_line()),
                reason=options["reason"],
                name=options["name"],
                permissions=[each.strip().lower() for each in options["can"].split(",") if each.strip()],
                accounts=options["account"],
                holder=_user(options["holder"]),
                per_second=options["rate"],
                expires_at=None if days is None else timezone.now() + timedelta(days=days),
            )
        except ValidationError as error:
            problems = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items())
            raise CommandError(f"The key was not made: {problems}") from None
        if options["json"]:
            row = made.row
            result = {
                "key": made.text,
                "id": row.id,
                "name": row.name,
                "permissions": row.permissions,
                "accounts": row.accounts,
                "holder": options["holder"],
                "expires_at": row.expires_at,
                "live": bool(made.live),
            }
            self.stdout.write(msgspec.json.encode(result).decode())
            return
        # The key alone on standard output, so that it can be piped to where it is kept.
        self.stderr.write(f"API key {made.row.name}; it is not shown again. Send it as: Authorization: Bearer KEY")
        if not made.live:
            self.stderr.write("The live state cannot be reached: the key is good when that is back.")
        self.stdout.write(made.text)


def _user(name: str | None) -> User | None:
    if name is None:
        return None
    found = User.objects.filter(username=name).first()
    if found is None:
        raise ValidationError({"holder": f"There is no user {name}."})
    return found


def _days(text: str) -> int:
    return _whole(text, 1, _MOST_DAYS)


def _rate(text: str) -> int:
    return _whole(text, 0, MOST_PER_SECOND)


def _whole(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
        raise ArgumentTypeError(f"expected a whole number from {least} to {most}")
    return int(text)
