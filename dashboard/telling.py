"""What the monitor tells of every account, as it comes."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from enum import Enum, auto

import msgspec
from msgspec import Struct

from bus.events import AccountFigures, MetricsTick
from riskcore.firm import FIRM

logger = logging.getLogger(__name__)

# An account that was not told of for so long is not looked at any more.
_GONE = timedelta(seconds=10)


class Word(Enum):
    """What a message was: not the monitor's, a part of what it saw in a look, or the last one of that."""

    FOREIGN = auto()
    PART = auto()
    LAST = auto()


class _Id(Struct, frozen=True):
    account_id: str


_ticks = msgspec.json.Decoder(MetricsTick)
_figures = msgspec.json.Decoder(AccountFigures)
_ids = msgspec.json.Decoder(_Id)


class Told:
    """The newest figures of every account and of the firm. One thread hears while another reads.

    Attributes
    ----------
    at
        When the monitor looked last, None before it was heard.
    """

    def __init__(self) -> None:
        self.at: datetime | None = None
        self._known: dict[str, tuple[datetime, bytes, AccountFigures]] = {}

    def hear(self, subject: str, payload: bytes) -> Word:
        """Take a message, and return what it was. What is older, or cannot be read, is passed over."""
        if subject != MetricsTick.subject:
            return Word.FOREIGN
        try:
            tick = _ticks.decode(payload)
            self.at = tick.at if self.at is None else max(self.at, tick.at)
            for raw in tick.accounts:
                self._take(bytes(raw), tick.at)
        except msgspec.MsgspecError as error:
            logger.error("what the monitor tells cannot be read: %s", error)
            return Word.PART
        return Word.LAST if tick.part == tick.parts else Word.PART

    def _take(self, raw: bytes, at: datetime) -> None:
        account_id = _ids.decode(raw).account_id
        known = self._known.get(account_id)
        if known is None or known[1] != raw:
            if known is None or at >= known[0]:
                self._known[account_id] = at, raw, _figures.decode(raw)
        elif at > known[0]:
            self._known[account_id] = at, raw, known[2]

    def firm(self) -> AccountFigures | None:
        """Return the firm's figures, None where they were not heard lately."""
        return self._lately().get(FIRM)

    def accounts(self) -> dict[str, AccountFigures]:
        """Return the figures of every account that was heard of lately."""
        return {account_id: figures for account_id, figures in self._lately().items() if account_id != FIRM}

    def _lately(self) -> dict[str, AccountFigures]:
        since = self.at and self.at - _GONE
        return {key: figures for key, (at, _, figures) in list(self._known.items()) if since is None or at >= since}
