"""`python -m riskportal.serve ROLE`: one process of a production installation.

`release` comes first: it brings the database up to date and the live state to life. `web`, `asgi`, `live`, `worker`
and `beat` then run side by side, and with NATS `gateway` and `feeds`; deploy/Procfile has them all.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from logging.config import dictConfig
from pathlib import Path

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command

from riskportal.precedence import SHOWING, WATCHING, give_way

_TASKS = 4
_GRACE_S = 3


def release() -> None:
    """Bring the database up to date, make the first book, and restore the live state."""
    for left in _metrics_directory().glob("*.db"):
        left.unlink()  # the last run's counts: it is over
    call_command("migrate", interactive=False, verbosity=1)
    call_command("bootstrap")
    call_command("restore_state")


def web() -> None:
    """Serve REST and pages through WSGI."""
    from granian import Granian
    from granian.constants import Interfaces
    from granian.log import LogLevels

    from riskportal.stops_first import THREADS

    Granian(
        "riskportal.watched:application",
        address=_host(),
        port=settings.RISK_HTTP_PORT,
        interface=Interfaces.WSGI,
        workers=settings.RISK_WEB_PROCESSES,
        blocking_threads=THREADS,
        websockets=False,
        log_level=LogLevels.warning,
        log_dictconfig={"handlers": {}, "loggers": {"_granian": {"handlers": [], "propagate": True}}},
        respawn_failed_workers=True,
        workers_kill_timeout=_GRACE_S,
    ).serve()


def asgi() -> None:
    """Serve order checks through ASGI, and everything else as well."""
    _serve_asgi(settings.RISK_ASGI_PORT)


def live() -> None:
    """Serve browsers' websockets: the same application, in a process of its own, so that no order waits for them."""
    # Nor for the processor: once a second a picture of everything is worked out, beside checks on the same cores.
    give_way(SHOWING)
    _serve_asgi(settings.RISK_LIVE_PORT)


def _serve_asgi(port: int) -> None:
    import uvicorn

    from riskportal.websockets import WEBSOCKETS

    uvicorn.run(
        "riskportal.asgi:application",
        host=_host(),
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        # The proxy in front is believed by Django alone (SECURE_PROXY_SSL_HEADER).
        proxy_headers=False,
        server_header=False,
        # Longer than the proxy in front keeps idle connections (60 s): it must be the one to close them.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_GRACE_S,
        **WEBSOCKETS,
    )


def gateway() -> None:
    """Answer order checks over NATS."""
    from riskportal import gateway as door

    door.main()


def feeds() -> None:
    """Listen to the feeds on NATS."""
    from riskportal import listening

    listening.main()


def worker() -> None:
    """Run the tasks: threads of one process, since they wait for Redis and the database for the most part."""
    from riskportal.celery import app

    give_way(WATCHING)
    without = ("--without-gossip", "--without-heartbeat", "--without-mingle")
    app.worker_main(["worker", "--pool=threads", f"--concurrency={_TASKS}", "--loglevel=INFO", *without])


def beat() -> None:
    """Say when tasks are due."""
    from riskportal import beat as clock

    give_way(WATCHING)
    clock.main()


ROLES: dict[str, Callable[[], None]] = {
    each.__name__: each for each in (release, web, asgi, live, gateway, feeds, worker, beat)
}

# These load Django in processes of their own, or need none of it: it is 40 MB.
_WITHOUT_DJANGO = (web, beat)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m riskportal.serve", description=__doc__)
    parser.add_argument("role", choices=sorted(ROLES))
    role = parser.parse_args().role
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "riskportal.settings")
    try:
        if settings.EMBEDDED:
            raise ImproperlyConfigured("REDIS_URL is not set. For one process without servers: make run")
        # The metrics of all processes meet in files; prometheus_client looks for the name when it is imported.
        os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(_metrics_directory()))
        if ROLES[role] in _WITHOUT_DJANGO:
            dictConfig(settings.LOGGING)
        else:
            django.setup()
        ROLES[role]()
    except (ImproperlyConfigured, CommandError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _metrics_directory() -> Path:
    named = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    directory = Path(named) if named else settings.RISK_DATA_DIR / "metrics"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _host() -> str:
    host: str = settings.RISK_HOST
    return host


if __name__ == "__main__":
    main()
