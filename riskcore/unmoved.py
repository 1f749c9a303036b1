"""What no order moves: the figures of an account's reported state alone, and the limits on them, once for a state."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from riskcore.decimals import shown_ratio
from riskcore.in_scope import InScope
from riskcore.limits import Finding, evaluate
from riskcore.metrics import SHOWN, Subject
from riskcore.remembered import Remembered
from riskcore.simulate import exposure_of
from riskcore.types import AccountState


class Unmoved(Struct, frozen=True, gc=False):
    """Figures as a decision has them, with a place for each of those that an order moves, where None stands.

    `shown` has the metrics by name and `utilisations` the limits in scope by policy. Of these, by place: `values`, how
    much of each is `used`, and those that are `broken`.
    """

    shown: dict[str, Decimal | None]
    utilisations: dict[str, Decimal | None]
    values: tuple[Decimal | None, ...]
    used: tuple[Decimal | None, ...]
    broken: dict[int, Finding]


# Of an account that cannot be valued nothing is said.
NOTHING_SAID = Unmoved(dict.fromkeys(metric.name for metric in SHOWN), {}, (), (), {})

# By account and the identity of the limits, with the state and the limits that it is of: between two reports of an
# account its orders find the same ones.
_known: Remembered[tuple[str, int], tuple[AccountState, InScope, Unmoved]] = Remembered(4_096)


def unmoved_by_orders(state: AccountState, scope: InScope) -> Unmoved:
    """Return what no order of this scope moves."""
    key = state.account_id, id(scope)
    kept = _known.get(key)
    if kept is not None and kept[0] is state and kept[1] is scope:
        return kept[2]
    found = _work_out(state, scope)
    _known.keep(key, (state, scope, found))
    return found


def _work_out(state: AccountState, scope: InScope) -> Unmoved:
    alone = Subject(state=state, exposure=exposure_of(()))
    shown: dict[str, Decimal | None] = {}
    for metric in SHOWN:
        value = metric.value(alone) if metric.of_state else None
        shown[metric.name] = None if value is None else metric.show(value)
    utilisations: dict[str, Decimal | None] = dict.fromkeys(limit.policy.id for limit in scope.limits)
    found = {place: evaluate(limit, limit.value(alone)) for place, limit in scope.of_state}
    for finding in found.values():
        if finding.utilisation is not None:
            utilisations[finding.limit.policy.id] = shown_ratio(finding.utilisation)
    every = [found.get(place) for place in range(len(scope.limits))]
    return Unmoved(
        shown,
        utilisations,
        tuple([None if one is None else one.value for one in every]),
        tuple([None if one is None else one.utilisation for one in every]),
        {place: finding for place, finding in found.items() if not finding.holds},
    )
