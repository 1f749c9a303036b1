"""The limits on the orders of one account, exchange, strategy and symbol, put together by what moves their figures."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from riskcore.headroom import Bounds, bounds_of
from riskcore.limits import Gate, Limit, Placed


class InScope(Struct, frozen=True, gc=False):
    """All limits in scope of an order, in the order in which they are reported.

    Each is, with its place among them, in one of these: `of_state` are on what the account reported, which no order
    moves; `of_figures` on what an order moves, or on the order itself, `of_figures_here` on what it moves on one
    exchange; `worked_out` on value at risk, or on what is counted in the limit's own window. `moved` are all but the
    first. `blocking` are the places of those that are hard or emergency, and `binding` of those among them that say
    something about the account without an order. `messages` count every order. `bounds` is what the limits leave of a
    quantity.
    """

    limits: tuple[Limit, ...]
    of_state: tuple[Placed, ...]
    of_figures: tuple[Placed, ...]
    of_figures_here: tuple[Placed, ...]
    worked_out: tuple[Placed, ...]
    moved: tuple[Placed, ...]
    blocking: tuple[int, ...]
    binding: tuple[int, ...]
    messages: tuple[Limit, ...]
    bounds: Bounds


def in_scope(limits: Iterable[Limit]) -> InScope:
    """Return the limits put together; they come in the order in which they are reported."""
    of_state, of_figures, here, worked_out = list[Placed](), list[Placed](), list[Placed](), list[Placed]()
    ordered = tuple(limits)
    for placed in enumerate(ordered):
        limit = placed[1]
        if limit.metric.of_state:
            of_state.append(placed)
        elif limit.of_tail or limit.counted:
            worked_out.append(placed)
        else:
            (here if limit.by_exchange else of_figures).append(placed)
    return InScope(
        limits=ordered,
        of_state=tuple(of_state),
        of_figures=tuple(of_figures),
        of_figures_here=tuple(here),
        worked_out=tuple(worked_out),
        moved=(*of_figures, *here, *worked_out),
        blocking=tuple(place for place, limit in enumerate(ordered) if limit.blocking),
        binding=tuple(place for place, limit in enumerate(ordered) if limit.blocking and limit.of_account),
        messages=tuple(limit for limit in ordered if limit.gate is Gate.MESSAGES),
        bounds=bounds_of(ordered),
    )
