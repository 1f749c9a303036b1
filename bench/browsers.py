"""Browsers that look at live pages, all in one process of its own:

python -m bench.browsers PORT SECONDS ACCOUNT IDLE      (the cookies as JSON on standard input)

Each connects as a page does, and notes when each frame came; what is in them is read at the end. Real browsers run on
machines of their own: this process does as little as it can while it looks. The first IDLE of them say that they are
there and then never read: their receive buffer is as small as it gets.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from datetime import datetime
from decimal import Decimal
from statistics import mean
from typing import cast

import msgspec
import uvloop
from msgspec import Struct, field
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.typing import Origin
from websockets.uri import parse_uri

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


class _Browser(asyncio.Protocol):
    """One page; one that is idle reads no more once it is connected."""

    def __init__(self, port: int, cookie: str, *, is_idle: bool) -> None:
        self.frames: list[tuple[float, bytes]] = []
        self.is_lost = False
        self._is_idle = is_idle
        uri, origin = parse_uri(f"ws://{HOST}:{port}/ws/risk/"), f"http://{HOST}:{port}"
        self._protocol = ClientProtocol(uri, origin=Origin(origin), max_size=None)
        self._port, self._cookie = port, cookie
        self._parts: list[bytes] = []

    async def connect(self) -> None:
        """Begin to look."""
        connecting = _socket(self._port, is_idle=self._is_idle)
        await asyncio.get_running_loop().create_connection(lambda: self, sock=connecting)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the websocket."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods alone
        request = self._protocol.connect()
        request.headers["Cookie"] = self._cookie
        self._protocol.send_request(request)
        self._send()

    def data_received(self, data: bytes) -> None:
        """Note each frame that is there in full."""
        received_at = time.time()
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.CONT):
                self._parts.append(bytes(event.data))
                if event.fin:
                    self.frames.append((received_at, b"".join(self._parts)))
                    self._parts.clear()
        self._send()
        if self._is_idle:
            self._transport.pause_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        """Note that there will be no more."""
        self.is_lost = True

    def _send(self) -> None:
        """Send what the protocol has to say, such as that a ping was heard."""
        for data in self._protocol.data_to_send():
            self._transport.write(data)


async def look(port: int, cookies: list[str], seconds: float, idle: int) -> list[_Browser]:
    """Return what those who read have received in so many seconds."""
    browsers = [_Browser(port, cookie, is_idle=number < idle) for number, cookie in enumerate(cookies)]
    for browser in browsers:
        await browser.connect()
    await asyncio.sleep(seconds)
    return browsers[idle:]


def _socket(port: int, *, is_idle: bool) -> socket.socket:
    made = socket.socket()
    if is_idle:
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
