"""How much of an order value at risk has room for: the losses of past days as lines in the order's quantity.

On each day an order makes the account lose more for every unit of it, or not at all (`scenarios`: open orders at
their worst): a line that never falls. So VaR and ES by historical simulation never fall either, and there is one
largest quantity. Statistics on binary floats, see `var`.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from riskcore.var import Floats, tail_count

_MOST_STEPS = 100

# A step ends at the cap but for its last bits.
_LAST_BITS = 1 + 1e-12

Places = npt.NDArray[np.intp]


class Lines(Struct, frozen=True, kw_only=True, eq=False):
    """What is lost on each of at least 20 days, with any quantity of an order.

    `losses` has shape (days,): without it, in currency. `slopes` has the same shape, >= 0: what a unit of it adds.
    """

    losses: Floats
    slopes: Floats

    def largest_quantity(self, measure: str, cap: float, most: float) -> float:
        """Return the largest quantity up to `most` > 0 at which a measure is at most `cap` in currency; below 0: none.

        `measure` is `var_95`, `var_99`, `es_95` or `es_99`.
        """
        if cap < 0:
            return -1.0  # VaR and ES are never below 0
        name, percent = measure.split("_")
        count = tail_count(len(self.losses), int(percent))
        solve = _of_var if name == "var" else _of_es
        return solve(self.losses, self.slopes, count, cap, most)


def _of_var(losses: Floats, slopes: Floats, count: int, cap: float, most: float) -> float:
    """Each day has a quantity beyond which it loses more than the cap; so many days may: the one after stops it."""
    if np.partition(losses + slopes * most, -count)[-count] <= cap:
        return most  # as a rule another limit is nearer
    room = cap - losses
    reaches = np.where(room < 0, -1.0, np.inf)
    np.divide(room, slopes, out=reaches, where=(slopes > 0) & (room >= 0))
    return min(most, float(np.partition(reaches, count - 1)[count - 1]))


def _of_es(losses: Floats, slopes: Floats, count: int, cap: float, most: float) -> float:
    """The mean of the worst days is the greatest mean of so many: convex, so Newton's steps do not overshoot."""
    quantity = most
    for _ in range(_MOST_STEPS):
        worst = _worst(losses + slopes * quantity, count)
        loss, slope = (math.fsum(line[worst].tolist()) / count for line in (losses, slopes))
        if loss + slope * quantity <= cap * _LAST_BITS:
            return quantity
        if slope <= 0 or cap < loss:
            return -1.0
        quantity = (cap - loss) / slope
    return -1.0


def _worst(losses: Floats, count: int) -> Places:
    """Return where the largest losses are, the earlier ones of equal losses: the same days on every machine."""
    edge = np.partition(losses, -count)[-count]
    above = np.flatnonzero(losses > edge)
    return np.concatenate((above, np.flatnonzero(losses == edge)[: count - len(above)]))
