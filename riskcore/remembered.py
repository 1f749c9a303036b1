"""What was worked out lately, so that it need not be again."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Remembered(OrderedDict[Key, Value]):
    """Values by what they were worked out from. May be shared by threads.

    Where there is no room for one more the oldest goes: to forget all of them at once would hold an order up for as
    long as that takes.

    Attributes
    ----------
    most
        How many are kept.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def keep(self, key: Key, value: Value) -> None:
        """Remember a value."""
        self[key] = value
        if len(self) > self.most:
            self.popitem(last=False)
