"""Founds an installation, in a process of its own under its settings: rows on standard input, the key on output."""

from __future__ import annotations

import io
import sys

import django
import msgspec
from django.core.management import call_command

from bench.installation import Founded, Rows

_ACTOR, _REASON = "bench", "A new installation"


def found(rows: Rows) -> Founded:
    """Make the rows, one API key for all accounts, and the live state of the newest book."""
    from policies import services
    from policies.book import latest
    from riskportal.restore import restore_if_empty
    from state.wiring import store

    if rows.defaults:
        call_command("bootstrap", stdout=io.StringIO())
    for profile in rows.profiles:
        services.do_create_profile(actor=_ACTOR, reason=_REASON, **profile)
    for instrument in rows.instruments:
        services.do_create_instrument(actor=_ACTOR, reason=_REASON, **instrument)
    for account in rows.accounts:
        services.do_create_account(actor=_ACTOR, reason=_REASON, **account)
    for policy in rows.policies:
        services.do_create_policy(actor=_ACTOR, reason=_REASON, **policy)
    newest = latest()
    assert newest is not None, "there is no book"
    key = _new_key(rows.permissions)
    report = restore_if_empty(store())
    assert store().control() is not None, f"the live state is not there: {report}"
    return Founded(key=key, book_version=newest.version)


def _new_key(permissions: str) -> str:
    written = io.StringIO()
    call_command("create_api_key", _ACTOR, "--can", permissions, "--rate", "0", "--json", stdout=written)
    key: str = msgspec.json.decode(written.getvalue())["key"]
    return key


def main() -> None:
    """Found what standard input says and write the result as JSON."""
    django.setup()
    founded = found(msgspec.json.decode(sys.stdin.buffer.read(), type=Rows))
    sys.stdout.write(msgspec.json.encode(founded).decode())


if __name__ == "__main__":
    main()
