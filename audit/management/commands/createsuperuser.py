"""createsuperuser: Django's command, with an event in the audit log."""

from __future__ import annotations

import os
from typing import Any

from django.contrib.auth.management import get_default_username
from django.contrib.auth.management.commands.createsuperuser import Command as DjangoCommand
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from audit.actors import command_line
from audit.people import do_create_superuser
from audit.terminal import new_password


class Command(DjangoCommand):
    help = (
        "Makes a user who may do everything, and writes the event of it. Asks for what is not given; with --noinput "
        "it is DJANGO_SUPERUSER_USERNAME, _EMAIL and _PASSWORD in the environment."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--reason", default="Created on the command line", help="why, for the audit log")

    # Not Django's own: it saves on the way, where no transaction could hold the event as well, but one that
    # lasts as long as somebody thinks about a password.
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            wanted = self._asked(options) if options["interactive"] else _given(options)
            made = do_create_superuser(actor=command_line(), reason=options["reason"], **wanted)
        except (KeyboardInterrupt, EOFError):
            raise CommandError("No user was made.", returncode=130) from None
        except ValidationError as error:
            raise CommandError(f"No user was made: {' '.join(error.messages)}") from None
        if options["verbosity"] >= 1:
            self.stdout.write(f"Superuser {made.username} created successfully.")

    def _asked(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return who is wanted, from the options and for the rest from the terminal."""
        if not self.stdin.isatty():
            raise CommandError("No user was made: there is no terminal to ask at. See --noinput.")
        username = options["username"] or self._ask_username()
        email = options["email"]
        while email is None:
            email = self.get_input_data(User._meta.get_field("email"), "Email address: ")
        password = new_password(User(username=username, email=email), self.stderr.write)
        return {"username": username, "email": email, "password": password}

    def _ask_username(self) -> str:
        default = get_default_username()
        hint = f" (leave blank to use '{default}')" if default else ""
        while True:
            username = self.get_input_data(self.username_field, f"Username{hint}: ", default)
            if username and not User.objects.filter(username=username).exists():
                return username
            if username:
                self.stderr.write("There is a user of that name.")


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Return who is wanted, from the options and for the rest from the environment."""
    username = options["username"] or os.environ.get("DJANGO_SUPERUSER_USERNAME")
    if not username:
        raise CommandError("No user was made: --noinput needs --username or DJANGO_SUPERUSER_USERNAME.")
    return {
        "username": username,
        "email": options["email"] or os.environ.get("DJANGO_SUPERUSER_EMAIL", ""),
        "password": os.environ.get("DJANGO_SUPERUSER_PASSWORD") or None,
    }
