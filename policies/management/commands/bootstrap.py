"""bootstrap: give a new installation its roles and first policies, and make its book live."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError

from audit.role_groups import ensure_roles
from policies.book import ensure_published, latest
from policies.defaults import ensure_defaults
from state.store import StateUnavailable


class Command(BaseCommand):
    help = (
        "Makes the roles that are not there yet, and the default policies and capital profiles where there is no "
        "policy book, and publishes the newest book where it is not live. Run migrate first; may be repeated."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="write the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        roles = ensure_roles()
        made = ensure_defaults()
        try:
            repaired = ensure_published()
        except StateUnavailable as error:
            raise CommandError(
                f"The book is made, but the live state cannot be reached to publish it: {error}"
            ) from None
        newest = latest()
        version = newest.version if newest is not None else 0
        if options["json"]:
            result = {
                "book": version,
                "made": made is not None,
                "published": made is not None or repaired,
                "roles": roles,
            }
            self.stdout.write(msgspec.json.encode(result).decode())
            return
        if roles:
            self.stdout.write(f"Made or extended the roles {', '.join(roles)}.")
        if made is not None:
            self.stdout.write(f"Made the default policies and profiles: book {version}.")
        else:
            self.stdout.write(f"Book {version} {'is published again' if repaired else 'is the newest; nothing to do'}.")
