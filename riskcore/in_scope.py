"""The limits on the orders of one account, exchange, strategy and symbol, put together by what moves their figures."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from riskcore.headroom import Bounds, bounds_of
from riskcore.limits import Gate, Limit, Placed


class InScope(Struct, frozen=True):
    """All limits in scope of an order, in the order in which they are reported.

    Each is, with its place among them, in one of these: `of_state` are on what the account reported, which no order
    moves; `of_figures` on what an order moves, or on the order itself; `of_tail` on value at risk; `counted` on what is
    counted in the limit's own window. `moved` are all but the first. `messages` count every order. `bounds` is what
    the limits leave of a quantity.
    """

    limits: tuple[Limit, ...]
    of_state: tuple[Placed, ...]
    of_figures: tuple[Placed, ...]
    of_tail: tuple[Placed, ...]
    counted: tuple[Placed, ...]
    moved: tuple[Placed, ...]
    messages: tuple[Limit, ...]
    bounds: Bounds


def in_scope(limits: Iterable[Limit]) -> InScope:
    """Return the limits put together; they come in the order in which they are reported."""
    of_state, of_figures, of_tail, counted = list[Placed](), list[Placed](), list[Placed](), list[Placed]()
    ordered = tuple(limits)
    for placed in enumerate(ordered):
        limit = placed[1]
        if limit.metric.of_state:
            of_state.append(placed)
        elif limit.of_tail:
            of_tail.append(placed)
        elif limit.counted:
            counted.append(placed)
        else:
            of_figures.append(placed)
    return InScope(
        limits=ordered,
        of_state=tuple(of_state),
        of_figures=tuple(of_figures),
        of_tail=tuple(of_tail),
        counted=tuple(counted),
        moved=(*of_figures, *of_tail, *counted),
        messages=tuple(limit for limit in ordered if limit.gate is Gate.MESSAGES),
        bounds=bounds_of(ordered),
    )
