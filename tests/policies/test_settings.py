"""Settings: each from the environment, and a start refused where one cannot be understood."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from riskportal import secret_key
from riskportal.env import Environment, parse_duration

ROOT = Path(__file__).parents[2]
KEY = "0123456789abcdef" * 4


def start(tmp_path, show: str = "None", **environment: str) -> subprocess.CompletedProcess[str]:
    """Read the settings in a process of their own, and write what `show` makes of them as JSON."""
    code = f"import json; from riskportal import settings as s; print(json.dumps({show}, default=str))"
    given = {"RISK_ENV_FILE": os.devnull, "RISK_DATA_DIR": str(tmp_path), "PATH": os.environ["PATH"], **environment}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=given, capture_output=True, text=True, check=False
    )


def shown(*args, **kwargs):
    done = start(*args, **kwargs)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("100ms", timedelta(milliseconds=100)),
        ("5s", timedelta(seconds=5)),
        ("1.5m", timedelta(seconds=90)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("250us", timedelta(microseconds=250)),
        (" 30 S ", timedelta(seconds=30)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text, duration):
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "5 seconds", "1e3s", "0s", "0.5us", "nan s", "\u0665s"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="expected"):
        parse_duration(text)


@pytest.mark.parametrize(
    "read",
    [
        lambda env: env.flag("NAME", default=False),
        lambda env: env.whole("NAME", 1, least=1, most=9),
        lambda env: env.decimal("NAME", "1", most="10"),
        lambda env: env.duration("NAME", "5s"),
        lambda env: env.clock("NAME", "00:00"),
        lambda env: env.zone("NAME", "UTC"),
        lambda env: env.url("NAME", "redis"),
        lambda env: env.urls("NAME", "nats"),
    ],
    ids=["flag", "whole", "decimal", "duration", "clock", "zone", "url", "urls"],
)
@pytest.mark.parametrize("text", ["perhaps", "NaN", "-1", "1e400", "99999999999999999999", "24:00", "../etc/passwd"])
def test_a_value_that_cannot_be_understood_is_refused_by_name(read, text):
    with pytest.raises(ImproperlyConfigured, match=r"^NAME.*: "):
        read(Environment({"NAME": text}))


def test_a_blank_value_is_the_default():
    assert Environment({"NAME": " "}).duration("NAME", "5s") == timedelta(seconds=5)


def test_a_number_out_of_its_range_is_refused_with_the_range():
    env = Environment({"NAME": "0"})
    assert env.decimal("NAME", "1", most="1") == Decimal(0)
    with pytest.raises(ImproperlyConfigured, match="above 0, at most 1"):
        env.decimal("NAME", "1", most="1", positive=True)


def test_a_url_that_is_refused_does_not_show_its_password():
    with pytest.raises(ImproperlyConfigured) as refused:
        Environment({"NAME": "mysql://me:hunter2@host/db"}).url("NAME", "postgresql")
    assert "hunter2" not in str(refused.value)


def test_urls_stand_with_commas_between_them():
    env = Environment({"NAME": " nats://a:4222, tls://b ,"})
    assert env.urls("NAME", "nats", "tls") == "nats://a:4222,tls://b"


@pytest.mark.parametrize("text", ["nats://a,redis://b", "nats://", "nats://a:99999", "nats://:4222"])
def test_one_wrong_url_of_several_is_refused(text):
    with pytest.raises(ImproperlyConfigured, match=r"^NAME: "):
        Environment({"NAME": f"nats://good,{text}"}).urls("NAME", "nats")


def test_embedded_is_sqlite_with_wal_and_write_locks_from_the_start(tmp_path):
    found = shown(tmp_path, "[s.EMBEDDED, s.DATABASES['default']]")
    assert found[0] is True
    assert found[1]["NAME"] == str(tmp_path / "riskportal.sqlite3")
    assert found[1]["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert "WAL" in found[1]["OPTIONS"]["init_command"]


def test_postgresql_has_a_pool_and_no_persistent_connections(tmp_path):
    found = shown(tmp_path, "s.DATABASES['default']", DATABASE_URL="postgresql://me:pw@db:5433/risk")
    assert (found["HOST"], found["PORT"], found["NAME"], found["CONN_MAX_AGE"]) == ("db", 5433, "risk", 0)
    assert found["OPTIONS"]["pool"]["max_size"] == 4


def test_whoever_freezes_in_a_transaction_keeps_its_locks_for_half_a_minute(tmp_path):
    url = "postgresql://me:pw@db:5433/risk"
    found = shown(tmp_path, "s.DATABASES['default']['OPTIONS']['options']", DATABASE_URL=url)
    assert found == "-c idle_in_transaction_session_timeout=30s"


def test_options_of_the_url_are_those_of_the_connection(tmp_path):
    url = "postgresql://me:pw@db:5433/risk?options=-c%20work_mem%3D8MB"
    found = shown(tmp_path, "s.DATABASES['default']['OPTIONS']['options']", DATABASE_URL=url)
    assert found == "-c work_mem=8MB"


def test_embedded_keeps_one_random_key_that_only_its_owner_reads(tmp_path):
    first = shown(tmp_path, "s.SECRET_KEY")
    assert first == shown(tmp_path, "s.SECRET_KEY")
    assert len(first) == 64
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600


def test_a_kept_key_that_others_can_read_is_refused(tmp_path):
    secret_key.kept(tmp_path)
    (tmp_path / "secret_key").chmod(0o644)
    with pytest.raises(ImproperlyConfigured, match="chmod 600"):
        secret_key.kept(tmp_path)


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"REDIS_URL": "redis://h"}, "RISK_SECRET_KEY"),
        ({"REDIS_URL": "redis://h", "RISK_SECRET_KEY": "change-me" * 9}, "RISK_SECRET_KEY"),
        ({"REDIS_URL": "redis://h", "RISK_SECRET_KEY": "short"}, "RISK_SECRET_KEY"),
        ({"REDIS_URL": "http://h"}, "REDIS_URL"),
        ({"DATABASE_URL": "oracle://h/d"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://h:port/d"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://h"}, "DATABASE_URL"),
        ({"RISK_STATE_MAX_AGE": "5"}, "RISK_STATE_MAX_AGE is '5'"),
        ({"RISK_REDIS_TIMEOUT": "250"}, "RISK_REDIS_TIMEOUT is '250'"),
        ({"RISK_REDIS_TIMEOUT": "0s"}, "RISK_REDIS_TIMEOUT is '0s'"),
        ({"RISK_REDIS_TIMEOUT": "-1s"}, "RISK_REDIS_TIMEOUT is '-1s'"),
        ({"RISK_REDIS_TIMEOUT": "1m"}, "RISK_REDIS_TIMEOUT is '1m'"),
        ({"RISK_MAX_LEVERAGE": "ten"}, "RISK_MAX_LEVERAGE is 'ten'"),
        ({"RISK_DAY_ZONE": "Mars/Base"}, "RISK_DAY_ZONE"),
        ({"RISK_WARNING_UTILISATION": "0.95"}, "RISK_WARNING_UTILISATION"),
        ({"RISK_MONITOR_INTERVAL": "3s"}, "RISK_MONITOR_SILENCE is '5s'"),
        ({"RISK_LEASE_ON_SILENCE": "halt"}, "RISK_LEASE_ON_SILENCE is 'halt'"),
        ({"RISK_DATA_DIR": "/dev/null/x"}, "RISK_DATA_DIR"),
    ],
    ids=str,
)
def test_a_start_is_refused_with_the_name_and_the_reason(tmp_path, environment, problem):
    done = start(tmp_path, **environment)
    assert done.returncode != 0
    assert f"ImproperlyConfigured: {problem}" in done.stderr


def test_production_is_reached_over_https_alone(tmp_path):
    found = shown(
        tmp_path,
        "[s.DEBUG, s.SECURE_SSL_REDIRECT, s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.SECURE_HSTS_SECONDS > 0]",
        REDIS_URL="redis://h",
        RISK_SECRET_KEY=KEY,
    )
    assert found == [False, True, True, True, True]


def test_values_of_the_environment_win_over_those_of_the_file(tmp_path):
    file = tmp_path / "env"
    file.write_text("RISK_MAX_LEVERAGE=3\nRISK_LANES=2\n")
    found = shown(tmp_path, "[s.RISK_MAX_LEVERAGE, s.RISK_LANES]", RISK_ENV_FILE=str(file), RISK_LANES="5")
    assert found == ["3", 5]


def test_the_example_lists_every_name():
    read = r'(?:env\.\w+|environ\.get)\(\s*"([A-Z][A-Z_]+)"'
    settings = (ROOT / "riskportal" / "settings.py").read_text()
    example = (ROOT / ".env.example").read_text()
    listed = set(re.findall(r"^#? ?([A-Z][A-Z_]+)=", example, re.MULTILINE))
    assert set(re.findall(read, settings)) | {secret_key.NAME} == listed
