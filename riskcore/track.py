"""How far equity has fallen within the last minutes, exactly, from what was reported of it.

The window is kept in slices. The oldest counts whole until it has left the window, so that a fall is never missed and
forgotten at most one slice late.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from msgspec import Struct

from riskcore.decimals import EXACT, FINEST, ZERO

SLICES = 10


class Slice(Struct, frozen=True, array_like=True, gc=False):
    """The equity reported within one slice: highest, lowest, and the largest fall from one to a later one.

    `number` is the time divided by the length of a slice. `fall` is a fraction of what it fell from, None where the
    first was not above 0.
    """

    number: int
    high: Decimal
    low: Decimal
    fall: Decimal | None


class EquityTrack(Struct, frozen=True, array_like=True, gc=False):
    """The slices of a window in which anything was reported, the oldest first; each `slice_us` microseconds long."""

    slice_us: int = 0
    slices: tuple[Slice, ...] = ()


def with_equity(track: EquityTrack, equity: Decimal, now_us: int, window_us: int) -> EquityTrack:
    """Return the track with the equity reported at `now_us`, slices that have left the window dropped.

    A window of another length than before (the setting was changed) starts anew.
    """
    slice_us = window_us // SLICES
    if track.slice_us != slice_us:
        track = EquityTrack(slice_us)
    # A clock that steps back counts into the newest slice: a fall is never forgotten.
    newest = max(now_us // slice_us, track.slices[-1].number if track.slices else 0)
    kept = tuple(one for one in track.slices if one.number >= newest - SLICES)
    if kept and kept[-1].number == newest:
        return EquityTrack(slice_us, (*kept[:-1], _joined(kept[-1], equity)))
    return EquityTrack(slice_us, (*kept, Slice(newest, equity, equity, ZERO if equity > ZERO else None)))


def worst_fall(track: EquityTrack) -> Decimal | None:
    """Return the largest fall within the window from one equity to a later one, as a fraction of the former.

    0 where it only rose, above 1 where it fell below nothing; None, not defined, where it began at nothing or below, or
    nothing was reported. Rounded up to twelve decimals.
    """
    if not track.slices or track.slices[0].fall is None:
        return None
    worst, high = ZERO, ZERO
    for one in track.slices:
        worst = max(worst, one.fall or ZERO, _fall(high, one.low))
        high = max(high, one.high)
    return worst


def _joined(one: Slice, equity: Decimal) -> Slice:
    # One that began at nothing stays undefined: there is no fall in it that is not larger from before it.
    fall = None if one.fall is None else max(one.fall, _fall(one.high, equity))
    return Slice(one.number, max(one.high, equity), min(one.low, equity), fall)


def _fall(high: Decimal, equity: Decimal) -> Decimal:
    """Return the fall from a high, 0 from one that is not above 0, rounded up."""
    if high <= ZERO or equity >= high:
        return ZERO
    return EXACT.divide(EXACT.subtract(high, equity), high).quantize(FINEST, ROUND_CEILING, EXACT)
