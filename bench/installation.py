"""riskportal on private servers: a database, a live state, and the settings that lead to them."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from bench.machine import ROOT
from bench.processes import ProcessFailed, clean_environment
from devtools import leftovers
from state.redis_store import RedisStore

_COMMAND_S = 120.0


class Rows(Struct, kw_only=True):
    """What officers have set up, by the keyword arguments of `policies.services`, and what the API key may do.

    `defaults` False leaves out the policies and profiles of a new installation.
    """

    defaults: bool = True
    profiles: Sequence[Mapping[str, Any]] = ()
    instruments: Sequence[Mapping[str, Any]] = ()
    accounts: Sequence[Mapping[str, Any]] = ()
    policies: Sequence[Mapping[str, Any]] = ()
    permissions: str = "check,feed,read,operate"


class Founded(Struct, kw_only=True):
    """An installation that can be used: its API key, and the book in force."""

    key: str
    book_version: int


class Installation:
    """The settings of one riskportal, and its commands.

    Parameters
    ----------
    database_url, redis_url
        An empty database, and a Redis that is this installation's own. Without a `redis_url` it is embedded.
    nats_url
        Where orders may be checked over NATS, if at all.
    settings
        Further settings by their names in `.env.example`.
    """

    def __init__(
        self, *, database_url: str, redis_url: str = "", nats_url: str = "", settings: Mapping[str, str] | None = None
    ) -> None:
        self._directory = leftovers.claim("data")
        self.environment = clean_environment(
            DATABASE_URL=database_url,
            REDIS_URL=redis_url,
            NATS_URL=nats_url,
            RISK_DATA_DIR=str(self._directory),
            RISK_SECRET_KEY=secrets.token_hex(32),
            RISK_HTTPS="false",
            **{"RISK_DATABASE_POOL": "0", **(settings or {})},
        )
        self._redis_url = redis_url

    @property
    def data(self) -> Path:
        """The directory that stands for RISK_DATA_DIR."""
        return self._directory

    def store(self) -> RedisStore:
        """Return the live state, for this process."""
        return RedisStore(self._redis_url, timeout_s=5.0)

    def found(self, rows: Rows) -> Founded:
        """Make the tables, the rows, the first book, an API key for every account, and the live state."""
        self.manage("migrate", "--no-input", "--verbosity=0")
        content = self.run("-m", "bench.founding", sent=msgspec.json.encode(rows))
        return msgspec.json.decode(content.splitlines()[-1], type=Founded)

    def manage(self, *arguments: str) -> bytes:
        """Run `manage.py` with these arguments and return what it wrote. Raises ProcessFailed."""
        return self.run("manage.py", *arguments)

    def run(self, *arguments: str, sent: bytes = b"") -> bytes:
        """Run Python with these arguments under the settings, and return what it wrote. Raises ProcessFailed."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.environment,
            input=sent,
            capture_output=True,
            timeout=_COMMAND_S,
            check=False,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).decode(errors="replace")[-3000:]
            raise ProcessFailed(f"{' '.join(arguments)} ended with {done.returncode}:\n{said}")
        return done.stdout

    def close(self) -> None:
        """Remove what it has written to disk."""
        leftovers.remove(self._directory)
