"""What the audit log calls whoever makes a change."""

from __future__ import annotations

import getpass


def command_line() -> str:
    """Return the actor of a change made by a command on the machine: the account that ran it."""
    try:
        return f"command line ({getpass.getuser()})"
    except (KeyError, OSError):
        return "command line"
