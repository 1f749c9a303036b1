"""A real gRPC server in the place of an Account Monitor, which answers as a test wants it to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from devtools.ports import PortReservation
from feeds.proto.account_monitor_pb2 import AccountState, GetAccountStateRequest, Position
from tests.support.patience import PATIENCE_S

# What a test answers with: a state, bytes that are none, or a status.
Reply = AccountState | bytes | grpc.StatusCode


def now_us() -> int:
    return time.time_ns() // 1000


def position(symbol: str = "BTCUSDT", quantity: str = "1", **what: Any) -> Position:
    return Position(symbol=symbol, quantity=quantity, **{"entry_price": "50000", "mark_price": "50000", **what})


def state(account_id: str = "A", **what: Any) -> AccountState:
    """Return a state of this moment, with plenty of money."""
    said: dict[str, Any] = {"equity": "1000000", "margin_used": "0", "timestamp": now_us(), **what}
    return AccountState(account_id=account_id, **{name: value for name, value in said.items() if value is not None})


class MonitorServer:
    """The server, always at the same address. `asked` are the accounts, in the order of the calls."""

    def __init__(self) -> None:
        self._reservation = PortReservation()
        self.url = f"grpc://127.0.0.1:{self._reservation.port}"
        self.asked: list[str] = []
        self.answer: Callable[[str], Reply] = state
        self.called = threading.Event()
        # A call waits for it before it answers.
        self.going = threading.Event()
        self.going.set()
        self._server: grpc.Server | None = None

    def start(self) -> None:
        self._reservation.release()
        server = grpc.server(ThreadPoolExecutor(32))
        handler: grpc.RpcMethodHandler[GetAccountStateRequest, bytes]
        handler = grpc.unary_unary_rpc_method_handler(self._serve, GetAccountStateRequest.FromString)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("accountmonitor.AccountMonitor", {"GetAccountState": handler}),)
        )
        assert server.add_insecure_port(self.url.removeprefix("grpc://"))
        server.start()
        self._server = server

    def kill(self) -> None:
        """End at once; nothing listens there any more."""
        assert self._server is not None
        self._server.stop(0).wait()
        self._server = None

    def close(self) -> None:
        self.going.set()
        if self._server is not None:
            self.kill()
        self._reservation.release()

    def _serve(self, request: GetAccountStateRequest, context: grpc.ServicerContext) -> bytes:
        self.asked.append(request.account_id)
        self.called.set()
        self.going.wait(PATIENCE_S)
        reply = self.answer(request.account_id)
        if isinstance(reply, grpc.StatusCode):
            context.abort(reply, "as the test wants it")
        return reply.SerializeToString() if isinstance(reply, AccountState) else reply
