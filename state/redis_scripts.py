"""The Lua scripts by name, each with the names of the keys before it and its digest at hand."""

from __future__ import annotations

import hashlib
from pathlib import Path

from state import keys
from state.store import EXPIRED_LIMIT, LOST_LEDGER

_FOLDER = Path(__file__).parent / "scripts"


class Script:
    """One script: its whole text, and the SHA-1 digest by which Redis knows it once it has seen it."""

    __slots__ = ("digest", "text")

    def __init__(self, name: str) -> None:
        common = (_FOLDER / "common.lua").read_text()
        own = (_FOLDER / f"{name}.lua").read_text()
        values = f"local EXPIRED_LIMIT = {EXPIRED_LIMIT}\nlocal LOST_LEDGER = '{LOST_LEDGER.decode()}'\n"
        self.text = f"{keys.lua_names()}{values}{common}\n{own}"
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


LOAD = Script("load")
LOAD_CHANGED = Script("load_changed")
COMMIT = Script("commit")
PUT_PRICES = Script("put_prices")
PUT_SIGNAL = Script("put_signal")
PUT_FIRM_PART = Script("put_firm_part")
HOLD_LEASE = Script("hold_lease")
SWAP_OMS_LEASE = Script("swap_oms_lease")
FORGET_BARS = Script("forget_bars")
SET_STOPS = Script("set_stops")
RAISE_STOP = Script("raise_stop")
FOLLOW_STOPS = Script("follow_stops")
PUBLISH = Script("publish")
KEEP_BOOK = Script("keep_book")
RESTORE = Script("restore")
IS_USED = Script("is_used")
RETIRE = Script("retire")
FORGET = Script("forget")
JOURNAL_LIFE = Script("journal_life")
RECOGNISE = Script("recognise")
