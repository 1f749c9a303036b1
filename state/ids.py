"""Ids of what the live state's clock orders: UUIDv7 (RFC 9562), which sort by time."""

from __future__ import annotations

import os


def new_id(now_us: int) -> str:
    """Return a new id that sorts by `now_us`, microseconds since the epoch on the store's clock.

    The microsecond within the millisecond stands in front of the random bits (RFC 9562, 6.2, method 3).
    """
    milliseconds, microsecond = divmod(now_us, 1000)
    fraction = microsecond * 4096 // 1000
    random = int.from_bytes(os.urandom(8)) >> 2
    number = (milliseconds << 80) | (0x7 << 76) | (fraction << 64) | (0x2 << 62) | random
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
