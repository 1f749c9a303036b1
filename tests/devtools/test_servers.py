"""The private servers keep their promises, on real PostgreSQL and Redis."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from devtools import leftovers
from devtools.processes import PrivateServer
from devtools.servers import PostgresServer, RedisServer, ServerError
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running_postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="module")
def running_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def postgres(running_postgres: PostgresServer) -> PostgresServer:
    """A PostgreSQL server with an empty table `notes`, whatever the test before did to it."""
    running_postgres.start()
    with running_postgres.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS notes")
        connection.execute("CREATE TABLE notes (text text)")
    return running_postgres


@pytest.fixture
def redis_server(running_redis: RedisServer) -> RedisServer:
    """An empty Redis server, whatever the test before did to it."""
    running_redis.start()
    with running_redis.connect() as client:
        client.flushall()
    return running_redis


def family(server: PrivateServer) -> list[leftovers.ProcessId]:
    """The processes of a running server."""
    assert server.pid is not None
    own = leftovers.ProcessId.of(server.pid)
    assert own is not None
    return [own, *leftovers.children_of(server.pid)]


def write_note(server: PostgresServer) -> None:
    with server.connect() as connection:
        connection.execute("INSERT INTO notes VALUES ('kept')")


class TestPostgres:
    def test_url_leads_to_the_database(self, postgres: PostgresServer) -> None:
        with psycopg.connect(postgres.url) as connection:
            row = connection.execute("SELECT current_database(), current_setting('TimeZone')").fetchone()
        assert row == ("riskportal", "UTC")

    def test_nobody_enters_without_the_password(self, postgres: PostgresServer) -> None:
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host="127.0.0.1", port=postgres.port, user="riskportal", password="guess")

    def test_restart_keeps_data_and_address(self, postgres: PostgresServer) -> None:
        url, pid = postgres.url, postgres.pid
        write_note(postgres)
        postgres.restart()
        assert (postgres.url, postgres.pid != pid) == (url, True)
        with postgres.connect() as connection:
            assert connection.execute("SELECT text FROM notes").fetchall() == [("kept",)]

    def test_kill_ends_every_process_and_keeps_committed_data(self, postgres: PostgresServer) -> None:
        with postgres.connect() as busy:
            write_note(postgres)
            processes = family(postgres)
            postgres.kill()
            assert not any(process.alive for process in processes)
            assert not postgres.is_running
            with pytest.raises(psycopg.OperationalError):
                busy.execute("SELECT 1")
        postgres.start()
        with postgres.connect() as connection:
            assert connection.execute("SELECT text FROM notes").fetchall() == [("kept",)]

    def test_restart_empty_loses_everything_but_the_address(self, postgres: PostgresServer) -> None:
        url = postgres.url
        postgres.restart(empty=True)
        assert postgres.url == url
        with postgres.connect() as connection, pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT text FROM notes")

    def test_durable_server_flushes_to_disk(self) -> None:
        with PostgresServer(durable=True) as server, server.connect() as connection:
            names = "('fsync', 'synchronous_commit', 'full_page_writes')"
            rows = connection.execute(f"SELECT setting FROM pg_settings WHERE name IN {names}".encode())
            assert {setting for (setting,) in rows.fetchall()} == {"on"}

    def test_close_leaves_no_process_and_no_file(self) -> None:
        with PostgresServer() as server:
            processes, data = family(server), server.data
        assert not any(process.alive for process in processes)
        assert not data.exists()
        assert not server.directory.exists()
        assert server.pid is None

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run the server as another user")
    def test_unreachable_checkout_falls_back_to_another_place(self, monkeypatch, tmp_path: Path) -> None:
        tmp_path.chmod(0o700)
        monkeypatch.setattr(leftovers, "SERVICES", tmp_path / "services")
        with PostgresServer() as server:
            data = server.data
            assert not data.is_relative_to(tmp_path)
        assert not data.parent.exists()

    def test_bad_setting_is_told_with_the_log(self) -> None:
        server = PostgresServer(settings={"shared_buffers": "much"})
        with pytest.raises(ServerError, match='invalid value for parameter "shared_buffers"'):
            server.start()
        server.close()

    def test_missing_programs_name_the_package(self, monkeypatch, tmp_path: Path) -> None:
        monkeypatch.setattr("devtools.servers._DEBIAN_POSTGRES", tmp_path)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(ServerError, match="apt-get install postgresql"):
            PostgresServer()


def until_written(client: redis.Redis) -> None:
    """Wait until Redis has handed all that it has answered to the operating system."""
    end = time.monotonic() + PATIENCE_S
    while cast("dict[str, int]", client.info("persistence"))["aof_buffer_length"]:
        assert time.monotonic() < end
        time.sleep(0.01)


class TestRedis:
    def test_url_leads_to_the_server(self, redis_server: RedisServer) -> None:
        with redis.Redis.from_url(redis_server.url) as client:
            assert client.ping()

    def test_nobody_enters_without_the_password(self, redis_server: RedisServer) -> None:
        once = Retry(NoBackoff(), 0)
        with (
            redis.Redis(port=redis_server.port, password="guess", retry=once) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()

    def test_evicts_nothing_and_keeps_an_append_only_file(self, redis_server: RedisServer) -> None:
        with redis_server.connect() as client:
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.config_get("appendonly") == {"appendonly": "yes"}

    def test_restart_keeps_data_and_address(self, redis_server: RedisServer) -> None:
        url, pid = redis_server.url, redis_server.pid
        with redis_server.connect() as client:
            client.set("note", "kept")
        redis_server.restart()
        assert (redis_server.url, redis_server.pid != pid) == (url, True)
        with redis_server.connect() as client:
            assert client.get("note") == "kept"

    def test_kill_ends_the_process_and_keeps_what_was_written(self, redis_server: RedisServer) -> None:
        processes = family(redis_server)
        with redis_server.connect() as client:
            client.set("note", "kept")
            # While the disk is still busy with the flush before, Redis answers first and writes within two seconds.
            until_written(client)
            redis_server.kill()
            assert not any(process.alive for process in processes)
            with pytest.raises(redis.ConnectionError):
                client.ping()
        redis_server.start()
        with redis_server.connect() as client:
            assert client.get("note") == "kept"

    def test_restart_empty_loses_everything(self, redis_server: RedisServer) -> None:
        with redis_server.connect() as client:
            client.set("note", "lost")
        redis_server.restart(empty=True)
        with redis_server.connect() as client:
            assert client.dbsize() == 0

    def test_without_append_only_file_a_restart_forgets(self) -> None:
        with RedisServer(appendonly=False) as server:
            with server.connect() as client:
                client.set("note", "lost")
            server.restart()
            with server.connect() as client:
                assert client.get("note") is None

    def test_close_leaves_no_process_and_no_file(self) -> None:
        with RedisServer() as server:
            processes = family(server)
        assert not any(process.alive for process in processes)
        assert not server.directory.exists()
        with pytest.raises(ServerError, match="closed"):
            server.start()

    def test_missing_program_names_the_package(self, monkeypatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(ServerError, match="apt-get install redis-server"):
            RedisServer()


class TestOwners:
    """A process that makes a server, and then ends in one way or another."""

    PROGRAM = (
        "import sys; from devtools.servers import RedisServer;"
        "server = RedisServer(); server.start(); print(server.pid, server.directory, flush=True); {end}"
    )

    def owner(self, end: str) -> tuple[subprocess.Popen[str], leftovers.ProcessId, Path]:
        """Start an owner that ends as told, and return it with its server and its directory."""
        owner = subprocess.Popen([sys.executable, "-c", self.PROGRAM.format(end=end)], stdin=-1, stdout=-1, text=True)
        assert owner.stdout is not None
        pid, _, directory = owner.stdout.readline().strip().partition(" ")
        server = leftovers.ProcessId.of(int(pid))
        assert server is not None
        return owner, server, Path(directory)

    def test_server_ends_with_an_owner_that_forgot_it(self) -> None:
        owner, server, directory = self.owner("sys.stdin.read(1)")
        owner.communicate("x", timeout=PATIENCE_S)
        assert not server.alive
        assert not directory.exists()

    def test_fork_of_the_owner_does_not_take_the_server_along(self) -> None:
        fork = "import os; os.fork() or sys.exit(); os.wait(); print('forked', flush=True); sys.stdin.read(1)"
        owner, server, _ = self.owner(fork)
        assert owner.stdout is not None
        assert owner.stdout.readline() == "forked\n"
        assert server.alive
        owner.communicate("x", timeout=PATIENCE_S)
        assert not server.alive

    def test_sweep_ends_what_a_killed_owner_left(self) -> None:
        owner, server, directory = self.owner("sys.stdin.read(1)")
        owner.kill()
        owner.communicate(timeout=PATIENCE_S)
        assert server.alive
        leftovers.sweep()
        assert not server.alive
        assert not directory.exists()

    def test_sweep_spares_servers_that_are_owned(self, redis_server: RedisServer) -> None:
        leftovers.sweep()
        assert redis_server.is_running
        assert redis_server.directory.exists()

    def test_sweep_spares_what_another_machine_may_own_for_a_day(self) -> None:
        directory = leftovers.claim("test")
        (directory / "owner").write_text("1 1\n")
        place = directory / "place"
        place.write_text("another machine\n")
        leftovers.sweep()
        assert directory.exists()
        two_days_ago = time.time() - 2 * 86_400
        os.utime(place, (two_days_ago, two_days_ago))
        leftovers.sweep()
        assert not directory.exists()
