"""Who goes first where there is more to do than there are cores: orders, then the watch over accounts, then pages.

Each step weighs a process a fifth less than one that answers orders. An idle core is anybody's all the same.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

logger = logging.getLogger(__name__)

# A third of what an order's process gets, which is more than a look each second takes of a busy core; and a tenth.
WATCHING, SHOWING = 5, 10

# Linux shares cores out among sessions first, and niceness says something within one only. A service is a session of
# its own: here is what that weighs.
_SESSION = Path("/proc/self/autogroup")

# Whoever is not root may say so ten times a second, all processes together.
_TRIES, _PAUSE_S = 20, 0.15


def give_way(steps: int) -> None:
    """Let this process, and what it starts, give way to those that answer orders; anybody may, and never take it back.

    Where a control group has a weight (systemd's CPUWeight, Docker's cpu_shares) that counts instead.
    """
    niceness = os.nice(steps)
    if os.getsid(0) != os.getpid():
        return  # the session is somebody's who started us, and has more in it
    for _ in range(_TRIES):
        try:
            _SESSION.write_text(f"{niceness}")
        except FileNotFoundError:
            return  # sessions are not weighed on this system: niceness does
        except BlockingIOError:
            time.sleep(_PAUSE_S)
        except OSError as error:
            logger.warning("this process could not give way to orders: %s", error)
            return
        else:
            return
    logger.warning("this process could not give way to orders: %s was busy", _SESSION)
