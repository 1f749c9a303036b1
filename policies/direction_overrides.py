"""Which way it goes that an override is granted or taken back."""

from __future__ import annotations

from policies.compare import ADDED, REMOVED
from policies.verdict import Rule, Sides, Verdict, always, loosens, tightens, unclear
from riskcore.book import Override


def _granted(sides: Sides) -> Verdict:
    override: Override = sides.new
    orders = "an order" if override.max_orders == 1 else f"up to {override.max_orders:,} orders"
    through = "its limits, and reducing ones through a stop" if override.liquidation else "its limits"
    return loosens(f"account {override.account_id} may send {orders} through {through}")


# An override is made once and taken back once: no field of it ever differs.
OVERRIDE_RULES: dict[str, Rule] = {
    **{name: always(unclear("it is another override")) for name in Override.__struct_fields__ if name != "id"},
    ADDED: _granted,
    REMOVED: always(tightens("it is taken back, or its time is over")),
}
