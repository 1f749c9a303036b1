"""What browsers are told, and what Django thinks of the settings of production."""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.template.loader import get_template

from access.headers import STRICT
from tests.e2e.installation import ROOT, environment

PAGES = sorted((ROOT / "templates" / "access").glob("*.html"))


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/sign-in/", "/health", "/", "/no-such-page"])
def test_every_answer_forbids_scripts_and_styles_in_the_page(client, path):
    policy = client.get(path).headers["content-security-policy"]
    assert policy == STRICT
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.django_db
def test_only_the_admin_may_have_scripts_in_its_pages(client):
    assert "script-src 'self' 'unsafe-inline' 'unsafe-eval'" in client.get("/admin/").headers["content-security-policy"]
    assert "script-src 'self';" in client.get("/api/docs").headers["content-security-policy"]


@pytest.mark.django_db
def test_every_answer_says_the_rest(client):
    headers = client.get("/sign-in/").headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_page_of_ours_has_a_script_or_a_style_in_it(page: Path):
    text = page.read_text().lower()
    get_template(f"access/{page.name}")
    assert not [mark for mark in ("<script", "<style", "style=", " onclick", " onload", "javascript:") if mark in text]


def test_the_style_is_a_file_of_ours():
    assert finders.find("access/access.css")


@pytest.mark.slow
def test_django_finds_nothing_to_say_about_production(tmp_path):
    env = environment(
        tmp_path,
        REDIS_URL="redis://localhost:1/0",
        DATABASE_URL="postgresql://nobody@localhost:1/none",
        RISK_SECRET_KEY=secrets.token_hex(32),
    )
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "INFO"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
