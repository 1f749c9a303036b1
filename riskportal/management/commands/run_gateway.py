"""run_gateway: the NATS door, in the foreground."""

from __future__ import annotations

from riskportal.management.role_command import RoleCommand


class Command(RoleCommand):
    help = (
        "Answers order checks over NATS (risk.check.order, risk.check.batch) until it is told to end. "
        "The same as: python -m riskportal.serve gateway"
    )
    role = "gateway"
