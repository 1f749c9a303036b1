"""The WSGI application as the web process serves it, with the watch over the monitor beside it."""

from __future__ import annotations

# Sets Django up, which the watch needs.
from riskportal.wsgi import application

from riskportal.watching import Watching  # isort: skip

__all__ = ["application"]

Watching().start()
