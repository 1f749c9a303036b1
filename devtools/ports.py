"""Ports on 127.0.0.1 that stay ours until a server takes them."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from pathlib import Path

HOST = "127.0.0.1"
_LOWEST = 20_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


class PortReservation:
    """A free port, held by a bound socket so that no other process is given it meanwhile.

    The port lies below those that the kernel hands to outgoing connections. So while a server is down,
    between a kill and a restart, no connection of anybody can sit on its port.

    Raises
    ------
    OSError
        No port is free (thousands would have to be taken).
    """

    def __init__(self) -> None:
        for port in _candidates():
            held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                held.bind((HOST, port))
            except OSError:
                held.close()
            else:
                self._held = held
                self.port: int = held.getsockname()[1]
                return
        raise OSError("no free port on 127.0.0.1")

    def release(self) -> None:
        """Let go of the port, for the server that is about to bind it. May be called again."""
        self._held.close()


def _candidates() -> Iterator[int]:
    """Yield ports to try, in an order of its own for each caller."""
    try:
        highest = int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError):
        highest = 32_768
    if highest - _LOWEST < 1_000:  # an unusual range: let the kernel choose, which is nearly as good
        yield from [0] * 10
        return
    # Not from the `random` module's shared generator: tests seed that one, and then two runs would agree.
    yield from random.SystemRandom().sample(range(_LOWEST, highest), highest - _LOWEST)
