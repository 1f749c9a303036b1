"""Chromium without a window, for tests and pictures."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

# The first that is here. The headless shell is the same engine without a desktop around it, for a third of the work.
_PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser")
_OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--in-process-gpu")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium, and end it. Raises FileNotFoundError where there is none."""
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        raise FileNotFoundError(
            f"none of {', '.join(_PROGRAMS)} is on the PATH; make test and make pictures install one"
        )
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=program, args=_OPTIONS) as browser:
        yield browser
