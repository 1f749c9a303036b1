"""Browsers that look at live pages, all in one process of its own:

python -m bench.browsers PORT SECONDS ACCOUNT IDLE      (the cookies as JSON on standard input)

Each connects as a page does, and notes when each frame came; what is in them is read at the end. The first IDLE of them
say that they are there and then never read: their receive buffer is as small as it gets.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from statistics import mean

import msgspec
import uvloop
from msgspec import Struct, field
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bench.open_loop import percentile_us
from devtools.ports import HOST

# What a run leaves out: everybody comes at once, and the first frames are whole pictures.
SETTLED_S = 3.0

_SMALLEST = 2_048


class _Figures(Struct):
    gross_exposure: Decimal | None = None


class _Accounts(Struct):
    set: dict[str, _Figures] = {}


class _Changes(Struct):
    accounts: _Accounts | None = None


class _Frame(Struct):
    type: str
    n: int
    at: datetime
    before: int | None = field(name="from", default=None)
    changes: _Changes | None = None


_decoder = msgspec.json.Decoder(_Frame)


class Received(Struct, frozen=True, kw_only=True):
    """What browsers that read have received, after the first seconds.

    `least` and `most` are frames of one browser; `gaps` frames that were not on top of the one before, or came without
    one; `lost` browsers whose connection ended. `late_*` are microseconds from a frame's moment to its receipt. `shown`
    has each gross exposure of the account, and for each browser the moment (seconds since the epoch) from which it was
    shown.
    """

    browsers: int
    least: int
    most: int
    gaps: int
    lost: int
    frame_bytes: int
    late_p50_us: int
    late_p99_us: int
    longest_us: int
    shown: list[tuple[Decimal, list[float]]]


class _Browser:
    """One page."""

    def __init__(self) -> None:
        self.frames: list[tuple[float, str | bytes]] = []
        self.is_lost = False

    async def look(self, connection: ClientConnection) -> None:
        """Note each frame until the connection is closed."""
        with suppress(ConnectionClosed):
            async for text in connection:
                self.frames.append((time.time(), text))
        self.is_lost = True


async def look(port: int, cookies: list[str], seconds: float, idle: int) -> list[_Browser]:
    """Return what those who read have received in so many seconds."""
    url, origin = f"ws://{HOST}:{port}/ws/risk/", f"http://{HOST}:{port}"
    connections = [
        await connect(
            url,
            origin=origin,  # type: ignore[arg-type]  # a NewType of text
            additional_headers={"Cookie": cookie},
            compression=None,
            ping_interval=None,
            max_size=None,
            max_queue=1,
            sock=_idle_socket(port) if number < idle else None,
        )
        for number, cookie in enumerate(cookies)
    ]
    browsers = [_Browser() for _ in connections[idle:]]
    tasks = [
        asyncio.create_task(browser.look(connection))
        for browser, connection in zip(browsers, connections[idle:], strict=True)
    ]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return browsers


def _idle_socket(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALLEST)
    made.connect((HOST, port))
    made.setblocking(False)
    return made


def received(browsers: list[_Browser], account_id: str) -> Received:
    """Return what browsers have received, and when each figure of an account was there."""
    began = max((browser.frames[0][0] for browser in browsers if browser.frames), default=0.0) + SETTLED_S
    gaps, late, sizes, counts = 0, list[float](), list[int](), list[int]()
    shown: dict[Decimal, list[float]] = {}
    for browser in browsers:
        newest, counted, exposure = 0, 0, None
        for received_at, text in browser.frames:
            frame = _decoder.decode(text)
            gaps += newest > 0 and frame.before != newest
            newest = frame.n
            figures = frame.changes and frame.changes.accounts and frame.changes.accounts.set.get(account_id)
            # A row comes again with whatever else in it has changed: its exposure is shown from the first on.
            if figures and figures.gross_exposure not in (None, exposure):
                exposure = figures.gross_exposure
                if received_at >= began:
                    shown.setdefault(exposure, []).append(received_at)
            if received_at >= began:
                counted += 1
                late.append(received_at - frame.at.timestamp())
                sizes.append(len(text))
        counts.append(counted)
    late = sorted(late) or [0.0]
    return Received(
        browsers=len(browsers),
        least=min(counts),
        most=max(counts),
        gaps=gaps,
        lost=sum(browser.is_lost for browser in browsers),
        frame_bytes=round(mean(sizes or [0])),
        late_p50_us=percentile_us(late, 0.5),
        late_p99_us=percentile_us(late, 0.99),
        longest_us=percentile_us(late, 1.0),
        shown=sorted(shown.items()),
    )


def main() -> None:
    """Look as the arguments say, and write what was received as JSON."""
    port, seconds, account_id, idle = sys.argv[1:5]
    cookies = msgspec.json.decode(sys.stdin.buffer.read(), type=list[str])
    browsers = uvloop.run(look(int(port), cookies, float(seconds), int(idle)))
    sys.stdout.write(msgspec.json.encode(received(browsers, account_id)).decode())


if __name__ == "__main__":
    main()
