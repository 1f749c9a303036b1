"""A process of an installation as a management command."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand


class RoleCommand(BaseCommand):
    """Becomes the process `role` of `riskportal.serve`, which says what it lacks where it cannot start."""

    role: str

    def handle(self, *args: Any, **options: Any) -> None:
        # In the place of this process, which has loaded its metrics before it could be told where they are kept.
        os.chdir(settings.BASE_DIR)
        os.execv(sys.executable, [sys.executable, "-m", "riskportal.serve", self.role])  # noqa: S606 - no shell wanted
