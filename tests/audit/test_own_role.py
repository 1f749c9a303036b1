"""The role of the application in PostgreSQL: it adds evidence, and has no right to change or delete it."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from devtools.servers import PostgresServer, RedisServer
from tests.e2e.installation import environment, run_manage

pytestmark = [pytest.mark.slow]

WRITTEN_ONCE = (
    "audit_auditevent",
    "audit_evidencebatch",
    "audit_evidencearchive",
    "policies_book",
    "policies_requeststep",
    "emergency_stopstep",
)
HEADS = ("audit_audithead", "audit_evidencehead")
GO_INTO_ARCHIVES = ("audit_orderdecision", "audit_reservationend", "audit_journalreject")


@dataclass
class Owned:
    """A database that a plain role owns, with what an installation writes at first."""

    url: str
    server: PostgresServer
    env: dict[str, str]

    def manage(self, *arguments: str) -> str:
        done = run_manage(self.env, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def owned(postgres_server: PostgresServer, redis_server: RedisServer, tmp_path_factory) -> Iterator[Owned]:
    role, password = f"desk_{secrets.token_hex(4)}", secrets.token_hex(8)
    with postgres_server.connect() as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'".encode())
        connection.execute(f"CREATE DATABASE {role} OWNER {role}".encode())
        connection.execute(f"CREATE DATABASE {role}_restored OWNER {role}".encode())
    url = f"postgres://{role}:{password}@127.0.0.1:{postgres_server.port}/{role}"
    data = tmp_path_factory.mktemp("owned")
    env = environment(data, DATABASE_URL=url, REDIS_URL=redis_server.url_of(9), RISK_SECRET_KEY=secrets.token_hex(32))
    made = Owned(url, postgres_server, env)
    made.manage("migrate", "-v", "0")
    made.manage("bootstrap")
    made.manage("create_account", "desk-1", "--profile", "normal")
    yield made
    with postgres_server.connect() as connection:
        for name in (role, f"{role}_restored"):
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        connection.execute(f"DROP ROLE {role}".encode())


def refused(owned: Owned, statement: str) -> str:
    with psycopg.connect(owned.url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege) as error:
        connection.execute(statement.encode())
    return str(error.value)


def test_it_adds_evidence(owned):
    with psycopg.connect(owned.url) as connection:
        assert connection.execute("SELECT count(*) FROM policies_book").fetchone() != (0,)
    assert json.loads(owned.manage("verify_audit", "--json"))["intact"]


@pytest.mark.parametrize("table", WRITTEN_ONCE)
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_it_has_no_right_to_delete_it(owned, table, statement):
    assert "permission denied" in refused(owned, statement.format(table))


@pytest.mark.parametrize("table", GO_INTO_ARCHIVES)
@pytest.mark.parametrize("statement", ["UPDATE {} SET batch = batch", "TRUNCATE {}"])
def test_it_has_no_right_to_change_a_decision(owned, table, statement):
    assert "permission denied" in refused(owned, statement.format(table))


def test_it_has_no_right_to_change_an_event(owned):
    assert "permission denied" in refused(owned, "UPDATE audit_auditevent SET reason = 'another'")


def test_what_other_rows_refer_to_is_refused_by_the_table_itself(owned):
    assert "are evidence" in refused(owned, "UPDATE policies_book SET actor = 'another'")


@pytest.mark.parametrize("table", HEADS)
def test_the_ends_of_the_chains_only_move_on(owned, table):
    assert "are evidence" in refused(owned, f"UPDATE {table} SET sequence = sequence")
    assert "permission denied" in refused(owned, f"DELETE FROM {table}")


def test_a_backup_that_was_restored_is_as_it_was(owned, tmp_path: Path):
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_dump"))
    dump = str(programs[-1]) if programs else shutil.which("pg_dump")
    assert dump, "this test needs pg_dump, which comes with PostgreSQL"
    file = tmp_path / "backup.sql"
    subprocess.run([dump, "--file", file, owned.url], check=True, timeout=60)
    restored = f"{owned.url}_restored"
    psql = str(Path(dump).with_name("psql"))
    subprocess.run([psql, "-q", "-v", "ON_ERROR_STOP=1", "-f", file, restored], check=True, timeout=60)
    before = json.loads(owned.manage("verify_audit", "--json"))
    done = run_manage({**owned.env, "DATABASE_URL": restored}, "verify_audit", "--json")
    after = json.loads(done.stdout)
    assert (after["intact"], after["unprotected"]) == (True, [])
    assert (after["events"], after["batches"]) == (before["events"], before["batches"])
