"""Logs: one JSON object a line where machines read them, aligned text on a terminal."""

from __future__ import annotations

import sys
from typing import Any

import structlog

FORMATS = ("json", "console")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

# What tells of every task and every request, which metrics count already.
_CHATTY = ("celery.app.trace", "celery.worker.strategy", "celery.beat", "celery.redirected", "httpx", "httpcore")


def configuration(form: str, level: str) -> dict[str, Any]:
    """Return the LOGGING setting: `form` is one of FORMATS, `level` one of LEVELS.

    It covers the loggers of the standard library and those of structlog alike.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_common(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _common(),
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(form)],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {name: {"level": "WARNING"} for name in _CHATTY} | _without_doubles(),
    }


def _common() -> list[Any]:
    """Return what is done to every record, whichever library it comes from."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _rendering(form: str) -> list[Any]:
    if form == "json":
        return [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(),
        ]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0, exception_formatter=plain)]


def _without_doubles() -> dict[str, dict[str, Any]]:
    # These bring handlers of their own, besides the root's.
    return {name: {"handlers": [], "propagate": True} for name in ("django", "django.server")}
