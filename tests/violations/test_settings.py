"""What the settings of alerts and the breaker say, and what stops the start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SHOW = """
import json
from riskportal import settings
print(json.dumps({name: value for name, value in vars(settings).items() if isinstance(value, str | int | bool)}))
"""


def start(tmp_path: Path, **environment: str) -> Any:
    """Return the plain settings of a process with this environment, or the last line of why it does not start."""
    own = {"PATH": os.environ["PATH"], "RISK_ENV_FILE": os.devnull, "RISK_DATA_DIR": str(tmp_path), **environment}
    command = [sys.executable, "-c", SHOW]
    done = subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"RISK_ALERT_EMAIL_TO": "a@example.com"}, "RISK_EMAIL_URL"),
        ({"RISK_ALERT_EMAIL_TO": "nobody", "RISK_EMAIL_URL": "smtp://mail"}, "RISK_ALERT_EMAIL_TO"),
        ({"RISK_EMAIL_FROM": "us"}, "RISK_EMAIL_FROM"),
        ({"RISK_EMAIL_URL": "http://user:SECRET@mail"}, "RISK_EMAIL_URL"),
        ({"RISK_ALERT_WEBHOOK_URL": "hooks.slack.com/SECRET"}, "RISK_ALERT_WEBHOOK_URL"),
        ({"RISK_ALERT_WINDOW": "0s"}, "RISK_ALERT_WINDOW"),
        ({"RISK_BREAKER_COUNT": "-1"}, "RISK_BREAKER_COUNT"),
        ({"RISK_BREAKER_SCOPE": "symbol"}, "RISK_BREAKER_SCOPE"),
        ({"RISK_BREAKER_STATE": "ACTIVE"}, "RISK_BREAKER_STATE"),
    ],
)
def test_what_cannot_be_understood_stops_the_start_by_name_and_tells_no_secret(tmp_path, environment, name):
    said = start(tmp_path, **environment)
    assert f"ImproperlyConfigured: {name}" in said
    assert "SECRET" not in said


def test_a_mail_server_is_read_to_the_letter(tmp_path):
    found = start(
        tmp_path, RISK_EMAIL_URL="smtp+tls://me%40x:a+b%2Fc%3A@mail.example.com", RISK_EMAIL_FROM="us@example.com"
    )
    assert (found["EMAIL_HOST"], found["EMAIL_PORT"], found["EMAIL_USE_TLS"]) == ("mail.example.com", 587, True)
    assert (found["EMAIL_HOST_USER"], found["EMAIL_HOST_PASSWORD"]) == ("me@x", "a+b/c:")
    assert found["DEFAULT_FROM_EMAIL"] == "us@example.com"
    assert found["EMAIL_BACKEND"].endswith(".smtp.EmailBackend")


def test_blocked_orders_count_for_the_breaker_but_not_where_desks_are_simulated(tmp_path):
    assert start(tmp_path)["RISK_BREAKER_BLOCKS"] is False
    production = {"REDIS_URL": "redis://localhost", "RISK_SECRET_KEY": "s3cret" * 8}
    assert start(tmp_path, **production)["RISK_BREAKER_BLOCKS"] is True
