"""What commands ask of the person at the terminal."""

from __future__ import annotations

import getpass
from collections.abc import Callable

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

_TRIES = 3


def new_password(user: User, say: Callable[[str], object]) -> str:
    """Return a password that is good for `user`, asked for twice. Raises CommandError after three tries."""
    for _ in range(_TRIES):
        password = getpass.getpass("Password: ")
        if password != getpass.getpass("Password (again): "):
            say("The two are not the same.")
            continue
        try:
            validate_password(password, user)
        except ValidationError as error:
            say("\n".join(error.messages))
            continue
        return password
    raise CommandError(f"Nothing was changed: {_TRIES} times no password that can be taken.")
