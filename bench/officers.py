"""How long officers wait where there are many limits and accounts, and what these cost a check.

python -m bench.officers POLICIES ACCOUNTS      (on the servers that the environment names)
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import django
import msgspec
from msgspec import Struct

from bench.many_limits import accounts_file, limits_file
from bench.side_by_side import Checked, check_side_by_side
from state.wiring import store

Made = TypeVar("Made")

# Rows of a list that no file makes.
_RESTRICTIONS = 500
_REQUESTS = 100
_LOOKS = 7
_PAGES = ("policy", "account", "changerequest", "book", "restrictedsymbol")


class Waited(Struct, frozen=True, kw_only=True):
    """What somebody did with so many rows, how long it took, in CPU seconds too, and the statements it took."""

    what: str
    rows: int
    seconds: float
    cpu_s: float
    statements: int


class Officers(Struct, frozen=True, kw_only=True):
    """What was measured on a book of so many limits and accounts."""

    policies: int
    accounts: int
    book_kb: float
    waited: list[Waited]
    pages: list[Waited]
    checked: list[Checked]


def measure(policies: int, accounts: int) -> Officers:
    """Import many limits and accounts, change some, look at the lists, and check orders beside a small book."""
    from policies.book import latest

    waited = [
        *_import("new accounts", accounts_file(accounts)),
        *_import("new limits", limits_file(policies, accounts)),
        *_import("accounts with another name", accounts_file(accounts // 10, name="Another")),
        *_import("limits with another threshold", limits_file(policies, accounts, tighter=True)),
        *_one_limit(),
    ]
    _fill_lists()
    pages = list(_look_at_lists())
    newest = latest()
    assert newest is not None
    return Officers(
        policies=policies,
        accounts=accounts,
        book_kb=len(newest.content) / 1e3,
        waited=waited,
        pages=pages,
        checked=check_side_by_side(newest.content.encode(), os.environ["REDIS_URL"]),
    )


def _import(what: str, content: bytes) -> Iterator[Waited]:
    """Read a file, ask for what it changes, approve that where it has to be, and publish it."""
    from audit.acting import system
    from policies.files.services import do_import_limits, plan_import
    from policies.models import State
    from policies.requests import services

    alice, bob, steps = system("alice"), system("bob"), _Steps(content.count(b"\n") - 1, what)
    plan = steps.take("read", lambda: plan_import(content, "limits.csv"))
    asked = steps.take(
        "requested", lambda: do_import_limits(acting=alice, reason="Bench", plan=plan, title=f"Import: {what}")
    )
    seen: dict[str, Any] = {"request_id": asked.pk, "expected_version": asked.version}
    waits = steps.take("submitted", lambda: services.do_submit_request(acting=alice, **seen))
    if waits.state == State.SUBMITTED:
        steps.take("approved", lambda: services.do_approve_request(acting=bob, **seen))
    made = steps.take("published", lambda: services.do_publish_request(acting=alice, **seen))
    assert made.live, "it is not live"
    yield from steps.taken


class _Steps:
    """Steps on the way of a request, timed."""

    def __init__(self, rows: int, what: str) -> None:
        self._rows, self._what = rows, what
        self.taken: list[Waited] = []

    def take(self, step: str, do: Callable[[], Made]) -> Made:
        made, waited = _timed(f"{self._what}: {step}", self._rows, do)
        self.taken.append(waited)
        return made


def _one_limit() -> list[Waited]:
    """Ask for one tighter limit, and publish it."""
    from audit.acting import system
    from policies.edits import Edit
    from policies.models import Policy
    from policies.requests import services

    alice = system("alice")
    row = Policy.objects.get(name="Max Account Leverage")
    edit = Edit("policy", str(row.pk), row.version, {"threshold": "9"})
    steps = _Steps(1, "one limit")
    asked = steps.take("requested", lambda: services.do_draft_request(acting=alice, reason="Bench", edits=(edit,)))
    seen: dict[str, Any] = {"request_id": asked.pk, "expected_version": asked.version}
    steps.take("published", lambda: services.do_publish_request(acting=alice, **seen))
    return steps.taken


def _fill_lists() -> None:
    """Restrict symbols, all with one request, and ask for changes of a limit that nobody decides on."""
    from audit.acting import system
    from policies.edits import Edit
    from policies.models import Policy
    from policies.requests import services

    alice = system("alice")
    edits = [
        Edit("restriction", "", 0, {"symbol": f"SYM{number}", "reason": "Bench"}) for number in range(_RESTRICTIONS)
    ]
    asked = services.do_draft_request(acting=alice, reason="Bench", edits=edits)
    services.do_publish_request(acting=alice, request_id=asked.pk, expected_version=asked.version)
    row = Policy.objects.get(name="Max Account Leverage")
    for number in range(_REQUESTS):
        edit = Edit("policy", str(row.pk), row.version, {"threshold": f"{8 - number / 100:.2f}"})
        services.do_draft_request(acting=alice, reason="Bench", edits=(edit,))


def _look_at_lists() -> Iterator[Waited]:
    """Look at each list of the admin several times, as somebody who may do everything; the middle look counts."""
    from django.apps import apps
    from django.contrib.auth.models import User
    from django.test import Client

    officer = Client(headers={"host": "127.0.0.1"})
    officer.force_login(User.objects.create_superuser("olga"))
    for name in _PAGES:
        model = apps.get_model("policies", name)
        looks = [_look(officer, f"/admin/policies/{name}/", model) for _ in range(_LOOKS)]
        yield sorted(looks, key=lambda look: look.seconds)[_LOOKS // 2]


def _look(officer: Any, address: str, model: Any) -> Waited:
    answer, waited = _timed(str(model._meta.verbose_name_plural), model.objects.count(), lambda: officer.get(address))
    assert answer.status_code == 200, answer
    return waited


def _timed(what: str, rows: int, do: Callable[[], Made]) -> tuple[Made, Waited]:
    from django.db import connection

    statements = 0

    def count(execute: Any, *arguments: Any) -> Any:
        nonlocal statements
        statements += 1
        return execute(*arguments)

    started, cpu = time.perf_counter(), time.process_time()
    with connection.execute_wrapper(count):
        made = do()
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    return made, Waited(what=what, rows=rows, seconds=seconds, cpu_s=cpu_s, statements=statements)


def main() -> None:
    """Measure what the arguments say, and write it as JSON."""
    django.setup()
    policies, accounts = map(int, sys.argv[1:3])
    assert store().control() is not None, "the live state is not there"
    sys.stdout.write(msgspec.json.encode(measure(policies, accounts)).decode())


if __name__ == "__main__":
    main()
