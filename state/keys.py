"""Every Redis key that riskportal writes, in one place: shape, unit and lifetime.

All keys of a lane begin with its prefix `risk:{L0}:`, whose braces are a hash tag, so that one script may
touch them on Redis Cluster. What follows the prefix:

| key | type | holds | lives |
|---|---|---|---|
| `control` | hash | `generation`, `epoch`, `book` (version), `stops` (JSON), `lanes` (count) | until flushed |
|           |      | `server`: the `run_id` of the Redis process that it was restored in | likewise |
|           |      | `claim`: for how many lanes it is being restored, `COUNT:NAME` | until restored |
| `signal` | string | fencing token, line feed, `["LEVEL",action,at_us]`: what the monitor made of the firm | for ever |
| `firm-parts` | hash | name -> token, time (us) and sums (JSON) of a part, one a line; first lane only | for ever |
| `lease:NAME` | hash | `holder`, `token`, `until` (us): who alone does something; first lane only | for ever |
| `prices` | hash | symbol -> `"SYM":["price",received_us,sent_us]`, a member of a JSON object | for ever |
| `bars:START` | hash | symbol -> `open high low close first_us last_us` of a minute; first lane only | 24 hours |
| `bar-minutes` | hash | START of each minute that has bars -> of how many symbols; first lane only | until forgotten |
| `accounts` | set | the id of every account ever written in this lane | for ever |
| `account:ID` | hash | `version`, `state` (JSON), `symbols` (one a line), `ledger` and `flow` (JSON) | for ever |
| `reservations:ID` | hash | order_id -> reservation (JSON) | until removed by a commit |
| `expiry:ID` | sorted set | order_id, scored by expires_at_us | likewise |
| `own:LEN:ID:SIDE:KEY` | sorted set | `own_member`, all scored 0, by side and position key | likewise |
| `answer:LEN:ID:ORDER` | string | fingerprint (or, before there is an answer, `tail`), line feed, JSON | 24 hours |
| `fill:LEN:ID:FILL` | string | nothing: the fill was taken | 24 hours |
| `journal` | stream | field `d`: one entry (JSON); group `life-...` names the stream's life | until trimmed |
| `books` | hash | version -> content (JSON); first lane only | the last 50 versions |
| `stop-notes` | hash | name -> what is to be recorded of a stop (JSON); first lane only | until recorded and lifted |
| `oms-leases` | hash | holder -> the lease of an OMS (JSON); first lane only | until it has ended |
| `keys` | string | the API keys that doors admit; first lane only | until replaced |

ID is an account's id and LEN its length in bytes, without which two ids could run into one key. START is in
microseconds since the epoch.

What is for other programs to read (docs/redis-keys.md). Each key ends when it is not kept up, or when what it says is
too old for a check; amounts are exact decimals in digits:

| key | type | holds | lives |
|---|---|---|---|
| `account:state:ID` | string | JSON: the account's state, open orders, metrics | while a check takes the state |
| `risk:policies` | string | JSON: the published book | some seconds, renewed |
| `risk:snapshot:current` | hash | the figures of the firm | some seconds, renewed |
| `market:prices:SYMBOL` | string | the last price, in MARKET_REDIS_URL | while a check takes the price |
| `risk:shared:turn` | string | that a process is writing these | ten seconds at most |
"""

from __future__ import annotations

from binascii import crc32
from decimal import Decimal

from riskcore.types import Reservation, position_key

CONTROL = "control"
SIGNAL = "signal"
LEASE = "lease:"
FIRM_PARTS = "firm-parts"
PRICES = "prices"
BARS = "bars:"
BAR_MINUTES = "bar-minutes"
ACCOUNTS = "accounts"
ACCOUNT = "account:"
RESERVATIONS = "reservations:"
EXPIRY = "expiry:"
OWN = "own:"
ANSWER = "answer:"
FILL = "fill:"
JOURNAL = "journal"
JOURNAL_LIFE = "life-"
BOOKS = "books"
KEYS = "keys"
STOP_NOTES = "stop-notes"
OMS_LEASES = "oms-leases"

BOOKS_KEPT = 50

SHARED_ACCOUNT = "account:state:"
SHARED_BOOK = "risk:policies"
SHARED_SNAPSHOT = "risk:snapshot:current"
SHARED_PRICE = "market:prices:"
SHARED_TURN = "risk:shared:turn"


def lane_of(account_id: str, lanes: int) -> int:
    """Return the lane (0 to lanes - 1) that holds an account."""
    return crc32(account_id.encode()) % lanes if lanes > 1 else 0


def prefix(lane: int) -> str:
    """Return what all keys of a lane begin with."""
    return f"risk:{{L{lane}}}:"


def lua_names() -> str:
    """Return the names above as Lua constants, so that the scripts spell no key themselves."""
    names = {
        "CONTROL": CONTROL,
        "SIGNAL": SIGNAL,
        "LEASE": LEASE,
        "FIRM_PARTS": FIRM_PARTS,
        "PRICES": PRICES,
        "BARS": BARS,
        "BAR_MINUTES": BAR_MINUTES,
        "ACCOUNTS": ACCOUNTS,
        "ACCOUNT": ACCOUNT,
        "RESERVATIONS": RESERVATIONS,
        "EXPIRY": EXPIRY,
        "OWN": OWN,
        "ANSWER": ANSWER,
        "FILL": FILL,
        "JOURNAL": JOURNAL,
        "JOURNAL_LIFE": JOURNAL_LIFE,
        "BOOKS": BOOKS,
        "STOP_NOTES": STOP_NOTES,
        "OMS_LEASES": OMS_LEASES,
    }
    return "".join(f"local {name} = '{text}'\n" for name, text in names.items())


def plain_text(value: Decimal) -> str:
    """Return a number >= 0 in digits, without exponent or trailing zeros: equal numbers, equal text.

    Raises ValueError where it is negative, not finite or longer than 99 digits.
    """
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    if len(text) > 99 or not text[0].isdigit():
        if value.is_zero():
            return "0"
        raise ValueError(f"cannot keep {value} as an open order's price or quantity")
    return text


def own_suffix(reservation: Reservation) -> str:
    """Return the end of the key of the open orders among which this one is: `SIDE:KEY`."""
    return f"{reservation.side[0]}:{position_key(reservation.symbol, reservation.exchange)}"


def own_member(reservation: Reservation) -> str:
    """Return an open order as it sorts among others: `price expires_at_us quantity order_id`.

    Equal scores sort by their bytes, so a price is written with the number of its integer digits before it
    and nothing after it that is not needed: the order of the texts is the exact order of the prices, which
    that of a score, a double, is not. A member equals another only if the reservation is the same.
    """
    price = plain_text(reservation.price)
    whole = price.find(".")
    digits = whole if whole >= 0 else len(price)
    quantity = plain_text(reservation.quantity)
    return f"{digits:02d}{price} {reservation.expires_at_us} {quantity} {reservation.order_id}"


def own_price(member_price: str) -> str:
    """Return the price in the first word of an own member."""
    return member_price[2:]
