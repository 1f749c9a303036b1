"""The Celery app: what runs by the clock, on Redis in production and inside the one process when embedded.

Every task may run twice or on two machines at once: each takes a lock of its own, or does what is harmless
to repeat. So a late one is dropped rather than made up for.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "riskportal.settings")

# A worker that hears nothing for this long takes its connection for dead.
_SOCKET_TIMEOUT_S = 5

_POLLING_S = 0.05


def schedule() -> dict[str, dict[str, Any]]:
    """Return what runs how often."""
    for_others = {"share-keys": _every(settings.RISK_SHARED_KEYS_INTERVAL.total_seconds(), "feeds.share_keys")}
    return {
        **_ticks(settings.RISK_MONITOR_SHARDS, settings.RISK_MONITOR_INTERVAL.total_seconds()),
        "check-leases": _every(1.0, "monitoring.check_leases"),
        "check-stops": _every(5.0, "monitoring.check_stops"),
        "check-rollouts": _every(60.0, "monitoring.check_rollouts"),
        **(for_others if settings.REDIS_URL else {}),
        "restore-if-empty": _every(1.0, "riskportal.restore_if_empty"),
        "drain-journal": _every(1.0, "audit.drain_journal"),
        "tell-heads": _every(60.0, "audit.tell_heads"),
        "archive": _every(3600.0, "audit.archive"),
        "keep-stops": _every(1.0, "emergency.keep_stops"),
        "unwind": _every(1.0, "emergency.unwind"),
        "record-blocks": _every(1.0, "violations.record_blocks"),
        "send-notifications": _every(1.0, "violations.send_notifications"),
        "trim-violations": _every(3600.0, "violations.trim"),
        "clear-sessions": _every(3600.0, "access.clear_sessions"),
        "publish-keys": _every(1.0, "api.publish_keys"),
        "record-key-uses": _every(60.0, "api.record_key_uses"),
        "keep-baselines": _every(30.0, "feeds.keep_baselines"),
        "keep-bars": _every(5.0, "feeds.keep_bars"),
        "keep-equity": _every(settings.RISK_EQUITY_INTERVAL.total_seconds(), "feeds.keep_equity"),
        "publish-returns": _every(300.0, "feeds.publish_returns"),
        "trim-history": _every(3600.0, "feeds.trim_history"),
        "run-previews": _every(1.0, "policies.run_previews"),
        "make-reports": _every(1.0, "reports.make"),
        "send-scheduled-reports": _every(60.0, "reports.send_scheduled"),
        "expire-reports": _every(3600.0, "reports.expire"),
        "refresh-book": _every(settings.RISK_POLICY_REFRESH.total_seconds(), "policies.refresh_book"),
    }


def _ticks(shards: int, seconds: float) -> dict[str, dict[str, Any]]:
    """Return the looks at all accounts: at each shard of them, whichever worker has it."""
    return {
        "tick" if number == 0 else f"tick-{number}": {
            "task": "monitoring.tick",
            "schedule": seconds,
            "args": (number, shards),
            # A late look is left out: the next one sees the same accounts.
            "options": {"expires": seconds},
        }
        for number in range(shards)
    }


def _every(seconds: float, task: str) -> dict[str, Any]:
    # What a worker finds waiting from before an outage is over: the next one does the same.
    return {"task": task, "schedule": seconds, "options": {"expires": max(seconds, 5.0)}}


def configuration(redis_url: str) -> dict[str, Any]:
    """Return Celery's settings, for Redis at this address or, where it is empty, for one process."""
    common = {
        "accept_content": ["json"],
        "beat_max_loop_interval": 1,
        "beat_schedule": schedule(),
        "broker_connection_retry_on_startup": True,
        "enable_utc": True,
        "task_ignore_result": True,
        "worker_cancel_long_running_tasks_on_connection_loss": True,  # there are none; False brings a warning
        "worker_consumer": "riskportal.consumer:PromptConsumer",
        "worker_enable_remote_control": False,
        "worker_hijack_root_logger": False,
        "worker_prefetch_multiplier": 1,
    }
    if not redis_url:
        return {
            **common,
            "beat_scheduler": "celery.beat:Scheduler",
            "broker_url": "memory://localhost/",
            "broker_transport_options": {"polling_interval": _POLLING_S},
        }
    patience = {"socket_timeout": _SOCKET_TIMEOUT_S, "socket_connect_timeout": _SOCKET_TIMEOUT_S}
    return {
        **common,
        "beat_scheduler": "redbeat.RedBeatScheduler",
        "broker_url": redis_url,
        "broker_transport_options": {**patience, "global_keyprefix": "celery:"},
        "redbeat_key_prefix": "celery:beat:",
        "redbeat_lock_timeout": 5,
        "redbeat_redis_options": patience,
        "redbeat_redis_url": redis_url,
    }


app = Celery("riskportal")
app.conf.update(configuration(settings.REDIS_URL))
app.autodiscover_tasks()


@setup_logging.connect
def _leave_logging_alone(**_: object) -> None:
    """Django has set logging up already; a receiver here keeps Celery from doing it again."""
