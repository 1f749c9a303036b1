"""Every log line in the form that was asked for, from the standard library's loggers and from structlog."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.patience import PATIENCE_S

_PROGRAM = """
import logging, logging.config, structlog
from riskportal.logging import configuration
logging.config.dictConfig(configuration({form!r}, {level!r}))
logging.getLogger("audit").info("drained %s", 5, extra={{"lane": 3}})
structlog.get_logger("audit").warning("drained", rows=7)
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("audit").exception("failed")
"""


def lines(form: str, level: str) -> list[str]:
    program = _PROGRAM.format(form=form, level=level)
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_json_has_one_object_a_line():
    first, second, third = map(json.loads, lines("json", "INFO"))
    assert (first["message"], first["level"], first["logger"], first["lane"]) == ("drained 5", "info", "audit", 3)
    assert (second["message"], second["rows"]) == ("drained", 7)
    assert "ZeroDivisionError" in third["exception"]
    assert first["timestamp"].endswith("Z")


def test_text_is_for_people():
    first, second, *_ = lines("console", "INFO")
    assert "drained 5" in first
    assert "rows=7" in second


@pytest.mark.parametrize(("level", "count"), [("INFO", 3), ("WARNING", 2), ("ERROR", 1)])
def test_the_level_says_from_where_on(level, count):
    assert len(lines("json", level)) == count
