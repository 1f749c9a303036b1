"""What the audit log calls whoever makes a change."""

from __future__ import annotations

import os
import pwd


def command_line() -> str:
    """Return the actor of a change made by a command on the machine: the account that runs it.

    The operating system is asked, not the environment, which may say any name.
    """
    uid = os.getuid()
    try:
        return f"command line ({pwd.getpwuid(uid).pw_name})"
    except KeyError:  # as in a container that runs under a number
        return f"command line (uid {uid})"
