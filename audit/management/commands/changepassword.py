"""changepassword: Django's command, with an event in the audit log."""

from __future__ import annotations

import getpass
from typing import Any

from django.contrib.auth.management.commands.changepassword import Command as DjangoCommand
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from audit.actors import command_line
from audit.people import do_change_password
from audit.terminal import new_password


class Command(DjangoCommand):
    help = "Changes a user's password, which it asks for, and writes the event of it."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--reason", default="Changed on the command line", help="why, for the audit log")

    # Not Django's own: it saves the whole user as they were before it asked, and no event with them.
    def handle(self, *args: Any, **options: Any) -> None:
        username = options["username"] or getpass.getuser()
        try:
            user = User.objects.get(username=username)
            self.stdout.write(f"Changing password for user '{username}'")
            password = new_password(user, self.stderr.write)
            do_change_password(actor=command_line(), reason=options["reason"], username=username, password=password)
        except User.DoesNotExist:
            raise CommandError(f"user '{username}' does not exist") from None
        except (KeyboardInterrupt, EOFError):
            raise CommandError("Nothing was changed.", returncode=130) from None
        except ValidationError as error:
            raise CommandError(f"Nothing was changed: {' '.join(error.messages)}") from None
        self.stdout.write(f"Password changed successfully for user '{username}'")
