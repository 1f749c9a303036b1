"""run_feeds: what listens to the feeds on NATS, in the foreground."""

from __future__ import annotations

from riskportal.management.role_command import RoleCommand


class Command(RoleCommand):
    help = (
        "Listens to the feeds on NATS (market.tick.*, fills.confirmed, positions.update, pnl.update, orders.closed) "
        "until it is told to end. The same as: python -m riskportal.serve feeds"
    )
    role = "feeds"
