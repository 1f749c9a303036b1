"""Private PostgreSQL and Redis servers for tests, benchmarks and fault drills.

    with PostgresServer() as postgres, RedisServer() as redis:
        run(DATABASE_URL=postgres.url, REDIS_URL=redis.url)
        redis.kill()                # a crash
        redis.restart()             # ... and its end: same address, same data
        redis.restart(empty=True)   # a lost disk

Everything runs on free ports of 127.0.0.1 behind a password of its own, beside whatever else the machine
runs.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from signal import SIGINT, SIGTERM

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from devtools.ports import HOST
from devtools.processes import PrivateServer, ServerError, as_user, temporary_directory

__all__ = ["PostgresServer", "RedisServer", "ServerError"]

_DEBIAN_POSTGRES = Path("/usr/lib/postgresql")
# Nobody needs the data of a test after a power cut. Kills of the server alone are survived all the same.
# (synchronous_commit stays on: without it a kill loses what was still in shared memory.)
_FAST = {"fsync": "off", "full_page_writes": "off", "jit": "off"}
_DURABLE = {"shared_buffers": "256MB"}


class PostgresServer(PrivateServer):
    """A private PostgreSQL server with one empty database, `riskportal`, and one superuser of the same name.

    Run by root, it runs as the user `postgres` (PostgreSQL refuses root), with its data under `/tmp` when
    that user cannot enter the checkout.

    Parameters
    ----------
    durable
        Write to disk before answering, as in production: for benchmarks. Otherwise a power cut may lose data.
    settings
        Further settings of postgresql.conf, which win over ours.

    Raises
    ------
    ServerError
        PostgreSQL is not installed, or root has no user `postgres` to run it as.
    """

    name = "postgres"
    database = "riskportal"
    _stop_signal = SIGINT  # a fast shutdown: clients are disconnected, nothing is lost

    def __init__(self, *, durable: bool = False, settings: Mapping[str, str] | None = None) -> None:
        self._programs = _postgres_programs()
        super().__init__()
        self._password = secrets.token_hex(16)
        self._settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **(_DURABLE if durable else _FAST),
            **(settings or {}),
        }

    @property
    def url(self) -> str:
        """`postgres://user:password@127.0.0.1:port/riskportal`."""
        return f"postgres://{self.database}:{self._password}@{HOST}:{self.port}/{self.database}"

    @property
    def data(self) -> Path:
        """The data directory of the cluster."""
        return (self.directory / "data").resolve() / "cluster"

    def connect(self, database: str | None = None) -> psycopg.Connection:
        """Return a new connection in autocommit mode, to `riskportal` unless another database is named."""
        return psycopg.connect(
            host=HOST,
            port=self.port,
            user=self.database,
            password=self._password,
            dbname=database or self.database,
            autocommit=True,
            connect_timeout=5,
        )

    def _run_as(self) -> pwd.struct_passwd | None:
        if os.geteuid() != 0:
            return None
        try:
            return pwd.getpwnam("postgres")
        except KeyError:
            raise ServerError(
                "PostgreSQL does not run as root, and there is no user `postgres`: apt-get install postgresql"
            ) from None

    def _prepare(self) -> None:
        if self.data.exists():
            return
        home = self._home()
        password_file = home / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password)
        if self._user is not None:
            os.chown(password_file, self._user.pw_uid, self._user.pw_gid)
        command = [
            str(self._programs / "initdb"),
            f"--pgdata={self.data}",
            f"--username={self.database}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]
        try:
            subprocess.run(command, cwd="/", check=True, capture_output=True, text=True, **as_user(self._user))
        except subprocess.CalledProcessError as error:
            shutil.rmtree(self.data, ignore_errors=True)
            raise ServerError(f"initdb failed:\n{error.stderr}") from error
        finally:
            password_file.unlink()

    def _home(self) -> Path:
        """Return the directory of the cluster and of its password file, made for the user that needs them."""
        home = self.directory / "data"
        if home.exists():
            return home.resolve()
        home.mkdir(mode=0o700)
        if self._user is not None:
            os.chown(home, self._user.pw_uid, self._user.pw_gid)
            probe = subprocess.run(["test", "-w", home], cwd="/", check=False, **as_user(self._user))
            if probe.returncode != 0:
                home.rmdir()
                elsewhere = temporary_directory(self.directory.name)
                os.chown(elsewhere, self._user.pw_uid, self._user.pw_gid)
                home.symlink_to(elsewhere)
        return home.resolve()

    def _command(self) -> list[str]:
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        return [str(self._programs / "postgres"), "-D", str(self.data), *settings]

    def _answers(self) -> bool:
        try:
            self.connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _wait_until_ready(self) -> None:
        super()._wait_until_ready()
        with self.connect("postgres") as connection:
            known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [self.database])
            if known.rowcount == 0:
                connection.execute(f"CREATE DATABASE {self.database}".encode())

    def _erase(self) -> None:
        shutil.rmtree(self.data, ignore_errors=True)


class RedisServer(PrivateServer):
    """A private Redis server that evicts nothing, as the state in it demands.

    Parameters
    ----------
    appendonly
        Keep an append-only file, flushed every second, as in production. Without it a restart loses
        everything.
    settings
        Further settings of redis.conf, which win over ours.

    Raises
    ------
    ServerError
        Redis is not installed.
    """

    name = "redis"
    _stop_signal = SIGTERM

    def __init__(self, *, appendonly: bool = True, settings: Mapping[str, str] | None = None) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise ServerError("redis-server is not on PATH: apt-get install redis-server")
        self._program = program
        super().__init__()
        self._password = secrets.token_hex(16)
        self._settings = {
            "bind": HOST,
            "port": str(self.port),
            "requirepass": self._password,
            "dir": str(self.data),
            "appendonly": "yes" if appendonly else "no",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            **(settings or {}),
        }

    @property
    def url(self) -> str:
        """`redis://:password@127.0.0.1:port/0`."""
        return self.url_of(0)

    def url_of(self, database: int) -> str:
        """Return the address of another of the server's 16 databases."""
        return f"redis://:{self._password}@{HOST}:{self.port}/{database}"

    @property
    def data(self) -> Path:
        """The directory of the append-only file."""
        return self.directory / "data"

    def connect(self) -> redis.Redis:
        """Return a new client of database 0 that answers with text and tries once, for five seconds."""
        return redis.Redis(
            host=HOST,
            port=self.port,
            password=self._password,
            decode_responses=True,
            socket_timeout=5,
            retry=Retry(NoBackoff(), 0),  # by default a server that is down costs ten seconds of back-off
        )

    def _prepare(self) -> None:
        self.data.mkdir(exist_ok=True)

    def _command(self) -> list[str]:
        # A file, because a command line is for everybody to read, and the password is in it.
        configuration = self.directory / "redis.conf"
        configuration.touch(mode=0o600)
        configuration.write_text("".join(f'{name} "{value}"\n' for name, value in self._settings.items()))
        return [self._program, str(configuration)]

    def _answers(self) -> bool:
        try:
            with self.connect() as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):  # not yet there, or still loading
            return False

    def _erase(self) -> None:
        shutil.rmtree(self.data, ignore_errors=True)


def _postgres_programs() -> Path:
    """Return the directory of initdb and postgres: the newest of Debian's, else the one on PATH."""
    debian = [path for path in _DEBIAN_POSTGRES.glob("*/bin") if (path / "initdb").exists()]
    if debian:
        return max(debian, key=lambda path: tuple(int(part) for part in path.parent.name.split(".")))
    found = shutil.which("initdb")
    if found is None:
        raise ServerError("PostgreSQL (initdb) is not on this machine: apt-get install postgresql")
    return Path(found).resolve().parent
