"""Asks an Account Monitor for the state of an account, over gRPC (feeds/proto/account_monitor.proto)."""

from __future__ import annotations

import threading
import time
from typing import Any
from urllib.parse import urlsplit

import grpc
import msgspec
from google.protobuf.message import DecodeError

from feeds import pull_metrics
from feeds.account_pull import NoState
from feeds.breaker import CircuitBreaker
from feeds.malformed import Malformed
from feeds.messages import MOST_BYTES, read_report
from feeds.proto.account_monitor_pb2 import AccountState, GetAccountStateRequest, Position
from feeds.pull_metrics import MonitorResult
from riskcore.report import AccountReport

METHOD = "/accountmonitor.AccountMonitor/GetAccountState"
SCHEMES = ("grpc", "grpcs")

# A connection on which nothing is answered may be to a machine that is gone: after so many seconds it is made anew. A
# handshake takes longer than a call may, so not with every call.
_RENEWED_AFTER_S = 5.0

_OPTIONS = (
    ("grpc.max_receive_message_length", MOST_BYTES),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),  # a proxy that the machine has for other purposes
    ("grpc.use_local_subchannel_pool", 1),  # else a new channel would share the old one's connection
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)

_ABOUT_THE_ACCOUNT = frozenset({grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT})

# What the breaker counts. Any other status is an answer: it may be one account that the monitor fails on.
_NO_ANSWER = frozenset({grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE})

_AMOUNTS = ("equity", "balance", "margin_used", "peak_equity", "daily_start_equity", "weekly_start_equity")
_OF_POSITION = ("symbol", "quantity", "entry_price", "mark_price", "margin", "exchange")

_encoder = msgspec.json.Encoder()


class AccountMonitor:
    """A connection to an Account Monitor, for threads; made when it is first needed.

    Parameters
    ----------
    url
        grpc://host:port in the open, grpcs://host:port over TLS.
    timeout_s
        How long one call may take, in seconds.
    breaker
        When to call at all.
    """

    def __init__(self, url: str, *, timeout_s: float, breaker: CircuitBreaker) -> None:
        self._url, self._timeout_s, self._breaker = url, timeout_s, breaker
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._call: grpc.UnaryUnaryMultiCallable[GetAccountStateRequest, bytes] | None = None
        self._failing_since_s: float | None = None

    def report(self, account_id: str, *, home_exchange: str) -> AccountReport:
        """Return the state of an account, as a push would bring it. Raises NoState."""
        return read_state(self._answer(account_id), account_id, home_exchange=home_exchange, now_us=_now_us())

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            if self._channel is not None:
                self._channel.close()
            self._channel = self._call = None

    def _answer(self, account_id: str) -> bytes:
        if not self._breaker.admits():
            raise NoState(MonitorResult.NOT_CALLED, "the Account Monitor did not answer lately")
        started_ns = time.perf_counter_ns()
        answered: bool | None = False
        try:
            content = self._connected()(GetAccountStateRequest(account_id=account_id), timeout=self._timeout_s)
            answered = True
        except grpc.RpcError as error:
            answered = _has_answered(error)
            raise _no_state(error) from None
        except ValueError as error:  # the channel was closed by somebody else's renewal
            raise NoState(MonitorResult.UNAVAILABLE, str(error)) from None
        finally:
            pull_metrics.call_duration.observe((time.perf_counter_ns() - started_ns) / 1000)
            self._ended(answered=answered)
        return content

    def _ended(self, *, answered: bool | None) -> None:
        if answered is None:
            return
        if answered:
            self._failing_since_s = None
            self._breaker.succeeded()
            return
        if self._failing_since_s is None:
            self._failing_since_s = time.monotonic()
        self._breaker.failed()

    def _connected(self) -> grpc.UnaryUnaryMultiCallable[GetAccountStateRequest, bytes]:
        call = self._call
        if call is not None and not self._is_to_be_renewed():
            return call
        with self._lock:
            if self._call is None or self._is_to_be_renewed():
                if self._channel is not None:
                    self._channel.close()
                self._channel = _channel(self._url)
                # Bytes: what cannot be decoded is an answer all the same, and no fault of the connection.
                self._call = self._channel.unary_unary(METHOD, GetAccountStateRequest.SerializeToString, None)
                self._failing_since_s = None
            return self._call

    def _is_to_be_renewed(self) -> bool:
        since_s = self._failing_since_s
        return since_s is not None and time.monotonic() - since_s >= _RENEWED_AFTER_S


def _channel(url: str) -> grpc.Channel:
    parts = urlsplit(url)
    if parts.scheme == "grpcs":
        return grpc.secure_channel(parts.netloc, grpc.ssl_channel_credentials(), _OPTIONS)
    return grpc.insecure_channel(parts.netloc, _OPTIONS)


def _code(error: grpc.RpcError) -> grpc.StatusCode:
    code: grpc.StatusCode = error.code() if hasattr(error, "code") else grpc.StatusCode.UNKNOWN
    return code


def _has_answered(error: grpc.RpcError) -> bool | None:
    """Return whether the monitor answered, None where a call that was given up says nothing of it."""
    code = _code(error)
    return None if code is grpc.StatusCode.CANCELLED else code not in _NO_ANSWER


def _no_state(error: grpc.RpcError) -> NoState:
    code = _code(error)
    text = f"the Account Monitor answered {code.name}"
    if code in _ABOUT_THE_ACCOUNT:
        return NoState(MonitorResult.UNKNOWN_ACCOUNT, text)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return NoState(MonitorResult.DEADLINE, "the Account Monitor did not answer in time")
    if code is grpc.StatusCode.UNAVAILABLE:
        return NoState(MonitorResult.UNAVAILABLE, "the Account Monitor cannot be reached")
    return NoState(MonitorResult.FAILED, text)


def read_state(content: bytes, account_id: str, *, home_exchange: str, now_us: int) -> AccountReport:
    """Return what the monitor answered about an account.

    Parameters
    ----------
    content
        An `accountmonitor.AccountState` as it came.
    home_exchange
        Where the account's positions are that name no exchange, "" where nobody knows.
    now_us
        The present moment, in microseconds since the epoch.

    Raises
    ------
    NoState
        It is of another account, has no timestamp, or anything in it is not what it should be.
    """
    try:
        state = AccountState.FromString(content)
    except DecodeError:
        raise NoState(MonitorResult.MALFORMED, "the answer is no AccountState") from None
    if state.account_id != account_id:
        raise NoState(MonitorResult.ANOTHER_ACCOUNT, f"account_id: the answer is about {state.account_id[:64]!r}")
    if not state.timestamp:
        raise NoState(MonitorResult.MALFORMED, "timestamp: is missing, so nobody knows how old the state is")
    try:
        return read_report(account_id, _body(state), home_exchange=home_exchange, now_us=now_us)
    except Malformed as error:
        raise NoState(MonitorResult.MALFORMED, str(error)) from None


def _body(state: AccountState) -> bytes:
    """Return the answer as the body of a push: what is understood there is understood here, and nothing else."""
    said = _said(state, _AMOUNTS)
    said["positions"] = [_said(position, _OF_POSITION) for position in state.positions]
    said["timestamp"] = state.timestamp
    if state.HasField("sequence"):
        said["sequence"] = state.sequence
    return _encoder.encode(said)


def _said(message: AccountState | Position, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: text for name in names if (text := getattr(message, name))}


def _now_us() -> int:
    return time.time_ns() // 1000
