"""A private NATS server, beside those of `devtools.servers`.

with NatsServer() as nats:
    run(NATS_URL=nats.url)
    nats.kill()                 # a crash
    nats.restart()              # ... and its end: same address
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
from collections.abc import Mapping
from signal import SIGTERM

from devtools.ports import HOST
from devtools.processes import PrivateServer, ServerError

# Where Debian keeps the program, which is not on everybody's PATH.
_ADMIN_PROGRAMS = ("/usr/sbin", "/usr/local/sbin")

# The answer to a batch of 1,000 orders is of several megabytes; the server's own default is one.
MAX_PAYLOAD = "8MB"


class NatsServer(PrivateServer):
    """A private NATS server. It keeps nothing: what nobody has received when it ends is gone.

    Parameters
    ----------
    settings
        Further settings of nats-server.conf by name, which win over ours.

    Raises
    ------
    ServerError
        NATS is not installed.
    """

    name = "nats"
    user = "riskportal"
    _stop_signal = SIGTERM

    def __init__(self, *, settings: Mapping[str, str] | None = None) -> None:
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_ADMIN_PROGRAMS])
        program = shutil.which("nats-server", path=path)
        if program is None:
            raise ServerError("nats-server is not on PATH: apt-get install nats-server")
        self._program = program
        super().__init__()
        self._password = secrets.token_hex(16)
        self._settings = {"max_payload": MAX_PAYLOAD, **(settings or {})}

    @property
    def url(self) -> str:
        """`nats://user:password@127.0.0.1:port`."""
        return f"nats://{self.user}:{self._password}@{HOST}:{self.port}"

    def _prepare(self) -> None:
        """There is no data."""

    def _command(self) -> list[str]:
        # A file, because a command line is for everybody to read, and the password is in it.
        configuration = self.directory / "nats-server.conf"
        configuration.touch(mode=0o600)
        lines = [f"{name}: {value}\n" for name, value in self._settings.items()]
        configuration.write_text(
            f'listen: "{HOST}:{self.port}"\n'
            f'authorization: {{user: "{self.user}", password: "{self._password}"}}\n'
            f"{''.join(lines)}"
        )
        return [self._program, "--config", str(configuration)]

    def _answers(self) -> bool:
        """Sign in and exchange a ping."""
        who = {"user": self.user, "pass": self._password, "verbose": False, "lang": "check", "version": "1"}
        try:
            with socket.create_connection((HOST, self.port), 1.0) as line, line.makefile("rb") as said:
                if not said.readline().startswith(b"INFO "):
                    return False
                line.sendall(b"CONNECT %b\r\nPING\r\n" % json.dumps(who).encode())
                return said.readline().strip() == b"PONG"
        except OSError:
            return False

    def _erase(self) -> None:
        """There is no data."""
