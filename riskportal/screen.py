"""What an embedded process says when it is ready: where it is, how to get in, what it is and what it is not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from riskportal.restore import Outcome, Report
from riskportal.signin import APPROVER, FILE, USER, SignIn

_SCREEN = """
  riskportal is running. Stop it with Ctrl-C.

  Pages    {url}/
           sign in as {user}, password {password}
           and as {approver}, password {approver_password}, who approves what loosens limits
  API      {url}/risk/
           key {key}
  Try      {curl}

  Market   {market}
  Data     {data}  (database, journal, and the above in {file})

  Embedded: everything is in this one process, with SQLite and the live state in memory, journaled to disk before
  each answer. That is for trying it out, demonstrations and a single desk. Several desks or machines: make serve,
  on PostgreSQL and Redis.
"""


def start_screen(url: str, sign_in: SignIn, report: Report, desks: Sequence[str], data: Path) -> str:
    """Return the text; `desks` are the simulated accounts, none without a simulation."""
    text = _SCREEN.format(
        url=url,
        user=USER,
        password=sign_in.password or "as you changed it",
        approver=APPROVER,
        approver_password=sign_in.approver_password or "as you changed it",
        key=sign_in.user_key,
        curl=_curl(url, sign_in.user_key, desks[0] if desks else "ACCOUNT"),
        market=_market(desks),
        data=data,
        file=FILE,
    )
    return text + _held_back(report)


def _curl(url: str, key: str, account_id: str) -> str:
    order = f'{{"order_id":"try-1","account_id":"{account_id}","symbol":"BTCUSDT","side":"BUY","quantity":"0.01"}}'
    return (
        f"curl {url}/risk/check -H 'Authorization: Bearer {key}' \\\n"
        f"             -H 'Content-Type: application/json' -d '{order}'"
    )


def _market(desks: Sequence[str]) -> str:
    if desks:
        return f"simulated, with an OMS that trades for {', '.join(desks)}  (--no-demo leaves them out)"
    return "yours: manage.py create_account, then PUT /risk/accounts/ACCOUNT/state and /risk/prices"


def _held_back(report: Report) -> str:
    if report.outcome is not Outcome.HOLDING:
        return ""
    return (
        "\n  Approvals are held back for "
        f"{report.hold_s:.0f} s: the journal of the last run is gone, and orders approved in it may still be open.\n"
    )
